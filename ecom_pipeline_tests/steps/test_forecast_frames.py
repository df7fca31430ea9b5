"""What the forecaster is told of the days ahead: the average discount of a series, from share and depth."""

from collections.abc import Iterator

import pandas as pd
import pytest

from ecom_pipeline.steps.forecast_frames import Covariates, history_of, known_ahead, series_of_night
from ecom_pipeline.steps.forecast_outlook import Outlook
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline_tests.steps.core_rows import day, empty_warehouse

DAYS, HORIZON = 20, 5
TONIGHT = Outlook(cutoff=day(DAYS - 1), closed=frozenset(), planned=True)
PROMOTED = {"product": (1.0, 0.4), "category": (0.2, 0.4), "total": (0.1, 0.3)}
"""Level -> share of its products that are on promotion, and how deep these are cut on average."""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    rows = []
    for level, (share, depth) in PROMOTED.items():
        for n in range(DAYS + HORIZON):
            on = n % 4 == 0
            rows.append((level, f"a {level}", day(n), 1.0, 1, share if on else 0.0, depth if on else 0.0))
    columns = ["level", "series_id", "date", "quantity", "orders", "promotion_share", "promotion_depth"]
    frame = pd.DataFrame(rows, columns=columns)
    with empty_warehouse(tmp_path_factory.mktemp("frames")) as opened:
        opened.connection.register("made", frame)
        opened.run(
            f"INSERT INTO feat_sales_daily ({', '.join(columns)}) SELECT * FROM made WHERE date <= :night",
            {"night": TONIGHT.cutoff},
        )
        ahead = [column for column in columns if column not in ("quantity", "orders")]
        opened.run(
            f"INSERT INTO feat_sales_future ({', '.join(ahead)}) SELECT {', '.join(ahead)} FROM made "
            "WHERE date > :night",
            {"night": TONIGHT.cutoff},
        )
        opened.connection.unregister("made")
        yield opened


def test_the_discount_of_a_category_is_that_of_all_its_products_promoted_or_not(warehouse: Warehouse) -> None:
    covariates = Covariates.of(warehouse, outlook=TONIGHT)
    assert covariates.known_future == ("promotion_share", "discount")
    series = series_of_night(warehouse, as_of=TONIGHT.cutoff)
    past = history_of(warehouse, series, covariates=covariates, outlook=TONIGHT)
    ahead = known_ahead(warehouse, series, covariates=covariates, outlook=TONIGHT, horizon=HORIZON)
    for frame in (past, ahead):
        level = frame["unique_id"].astype(str).str.split("/").str[1]
        on = frame["promotion_share"] > 0
        assert frame["discount"][on].groupby(level[on]).unique().map(list).to_dict() == {
            "product": pytest.approx([0.4]),
            "category": pytest.approx([0.08]),
            "total": pytest.approx([0.03]),
        }
        assert (frame["discount"][~on] == 0).all()
