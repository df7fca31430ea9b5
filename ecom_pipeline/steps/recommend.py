"""What a night says of products to users: what comes next, what they may buy, and what is alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.recommending import NextItemRecommender, PurchasePredictor
from ecom_pipeline.recommending.frames import as_table
from ecom_pipeline.recommending.storage import FORMAT_VERSION
from ecom_pipeline.registry import ModelVersion, Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.recommend_events import (
    UserRange,
    end_of_day,
    histories_of_active_users,
    histories_query,
    items_that_may_be_shown,
    last_event,
    ranges_of_active_users,
)
from ecom_pipeline.steps.recommend_shaping import Shaping
from ecom_pipeline.steps.recommend_versions import (
    MODEL,
    PURCHASES,
    SERVING,
    is_champion,
    recommender_of_night,
    require_features,
    version_of_night,
)
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.spark_engine import SparkWarehouse

Progress = Callable[[str, float], None]
Rank = Callable[..., Iterable[pa.Table]]
"""(k, candidates=, blocked=) -> lists of whole users, as `NextItemRecommender.recommend_blocks` gives them."""
_RECOMMENDED = """
SELECT user_id, item_id, rank, fallback
FROM recommendations
WHERE as_of = :as_of AND user_id BETWEEN :first_user AND :last_user
ORDER BY user_id, rank
"""
RANKED = "ranked_items"
"""Folder at the storage root for what the workers ranked, until it is in the warehouse."""


@dataclass(frozen=True)
class RecommendReport:
    """What a step wrote, and what with; `note` says what was left out."""

    rows: int
    model: str
    model_version: str
    fallback: bool
    note: str | None = None


def recommend(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> RecommendReport:
    """Replace the night's rows of `recommendations`: for every active user the best products that are still sold.

    Raises:
        FeatureError: if the features stand for another night.
        RegistryError: if nothing was trained for this night yet, or the champion's files are damaged.
    """
    progress = on_progress or _silent
    version, recommender = recommender_of_night(warehouse, home=home, settings=settings, as_of=as_of)
    ranges: Sequence[UserRange | None] = ranges_of_active_users(warehouse, settings=settings, as_of=as_of)
    table = contracts.table("recommendations")
    # the night's rows are those of the night again
    warehouse.run("DELETE FROM rescored_users WHERE as_of = :as_of", {"as_of": as_of})
    if recommender is None or not ranges:
        rows = _replace_by_blocks(warehouse, table, as_of, ())
        return _report(version, recommender, rows, note="no user did anything with a product lately")
    with _ranking(warehouse, version=version, home=home, settings=settings, as_of=as_of) as rank:
        if rank is not None:  # the workers rank all users at once
            ranges = [None]
        shaping = Shaping.of_night(warehouse, recommender, settings=settings)
        now = last_event(warehouse)

        def blocks() -> Iterator[pa.Table]:
            for number, users in enumerate(ranges):
                histories = histories_of_active_users(warehouse, settings=settings, as_of=as_of, users=users)
                yield from recommended_blocks(
                    warehouse,
                    recommender,
                    histories,
                    version=version,
                    shaping=shaping.of_users(histories, now=now),
                    settings=settings,
                    as_of=as_of,
                    on_progress=partial(_of_part, progress, number, len(ranges)),
                    rank=rank,
                )

        return _report(version, recommender, _replace_by_blocks(warehouse, table, as_of, blocks()))


def recommended_blocks(
    warehouse: Warehouse,
    recommender: NextItemRecommender,
    histories: pa.Table,
    *,
    version: ModelVersion,
    shaping: Shaping,
    settings: Settings,
    as_of: date,
    on_progress: Progress,
    rank: Rank | None = None,
) -> Iterable[pa.Table]:
    """Rows of `recommendations` for the users of `histories`, a block of them at a time, shaped for them.

    `rank` gives whole users' lists as `recommender.recommend_blocks` does, which it is by default.

    Raises:
        ArithmeticError: for scores that are not finite.
    """
    users = len(histories.column("user_id").unique())
    done = 0
    ranked = partial(recommender.recommend_blocks, histories) if rank is None else rank
    for block in ranked(
        shaping.asked,
        candidates=items_that_may_be_shown(warehouse, settings=settings, as_of=as_of),
        blocked=pa.array(settings.blocked_items, pa.string()),
    ):
        done += len(block.column("user_id").unique())
        on_progress("recommend", min(1.0, done / users))
        if not np.isfinite(block.column("score").to_numpy()).all():
            raise ArithmeticError(f"{MODEL} {version.name}: a score is not a finite number; roll it back")
        shaped = shaping.apply(block)
        marked = shaped if is_champion(version) else _marked_as_fallback(shaped)
        yield of_night(marked, as_of=as_of, version=version)


def predict_purchases(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> RecommendReport:
    """Replace the night's rows of `purchase_predictions`: the chance that what is recommended is bought.

    Shops without enough purchases to learn from get no rows, and the report says so.

    Raises:
        FeatureError, RegistryError: as `recommend`.
    """
    progress = on_progress or _silent
    require_features(warehouse, as_of)
    registry = Registry(home, settings)
    version = version_of_night(registry, as_of)
    table = contracts.table("purchase_predictions")
    now = end_of_day(warehouse, as_of)
    predictor = predictor_of(registry, version)
    ranges = ranges_of_active_users(warehouse, settings=settings, as_of=as_of)
    if predictor is None or not ranges or now is None:
        rows = _replace_by_blocks(warehouse, table, as_of, ())
        return _report(version, None, rows, note="too few purchases to learn probabilities from")

    def blocks() -> Iterator[pa.Table]:
        for number, users in enumerate(ranges):
            progress("purchase probabilities", number / len(ranges))
            recommended = warehouse.arrow(_RECOMMENDED, {"as_of": as_of, "first_user": users[0], "last_user": users[1]})
            histories = histories_of_active_users(warehouse, settings=settings, as_of=as_of, users=users)
            predicted = as_table(predictor.predict(histories, recommended, as_of=now), name="predicted", required=())
            yield of_night(predicted, as_of=as_of, version=version)

    rows = _replace_by_blocks(warehouse, table, as_of, blocks())
    progress("written", 1.0)
    note = None if rows else "nothing is recommended, so there is nothing to say a probability of"
    return RecommendReport(rows=rows, model="purchases", model_version=version.name, fallback=False, note=note)


def predictor_of(registry: Registry, version: ModelVersion) -> PurchasePredictor | None:
    """What turns a version's recommendations into probabilities; None where there were too few purchases to learn."""
    if not version.usable or version.manifest.settings.get("format") != FORMAT_VERSION:
        return None
    folder = registry.folder(version) / PURCHASES
    return PurchasePredictor.load(folder) if folder.exists() else None


def similar_items(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    as_of: date,
    on_progress: Progress | None = None,
) -> RecommendReport:
    """Replace the night's rows of `similar_items`: for every product that is still sold the most similar ones.

    Raises:
        FeatureError, RegistryError: as `recommend`.
    """
    progress = on_progress or _silent
    version, recommender = recommender_of_night(warehouse, home=home, settings=settings, as_of=as_of)
    table = contracts.table("similar_items")
    if recommender is None:
        rows = _replace_by_blocks(warehouse, table, as_of, ())
        return _report(version, recommender, rows, note="no user did anything with a product")
    progress("similar items", 0.1)
    sold = items_that_may_be_shown(warehouse, settings=settings, as_of=as_of)
    if sold is None:
        sold = recommender.item_ids()
    found = recommender.similar_items(
        sold, settings.similar_items_per_item, candidates=sold, blocked=pa.array(settings.blocked_items, pa.string())
    )
    rows = _replace_by_blocks(warehouse, table, as_of, [of_night(found, as_of=as_of, version=version)])
    progress("written", 1.0)
    return _report(version, recommender, rows)


def _marked_as_fallback(rows: pa.Table) -> pa.Table:
    return rows.set_column(rows.column_names.index("fallback"), "fallback", pa.array([True] * rows.num_rows))


def of_night(rows: pa.Table, *, as_of: date, version: ModelVersion) -> pa.Table:
    """Rows with the night and the version that they are of."""
    count = rows.num_rows
    return rows.append_column("as_of", pa.array([as_of] * count, pa.date32())).append_column(
        "model_version", pa.array([version.name] * count, pa.string())
    )


def _replace_by_blocks(warehouse: Warehouse, table: contracts.Table, as_of: date, blocks: Iterable[pa.Table]) -> int:
    """Replace the night's rows block by block in one transaction; returns the rows written."""
    with warehouse.transaction():
        warehouse.run(f"DELETE FROM {table.name} WHERE as_of = :as_of", {"as_of": as_of})
        return sum(warehouse.append_from_arrow(table, block) for block in blocks)


@contextmanager
def _ranking(
    warehouse: Warehouse, *, version: ModelVersion, home: Home, settings: Settings, as_of: date
) -> Iterator[Rank | None]:
    """With `engine: spark` what ranks items for all active users, by the workers; None where this process does. What
    stands in for a champion is fitted here and saved nowhere, so that it ranks here."""
    if not isinstance(warehouse, SparkWarehouse) or not is_champion(version):
        yield None
        return
    from ecom_pipeline.spark.scoring import recommended_by_workers

    query, parameters = histories_query(settings=settings, as_of=as_of)
    with ExitStack() as stack:

        def by_workers(k: int, *, candidates: pa.Array | None, blocked: pa.Array) -> Iterable[pa.Table]:
            rows = recommended_by_workers(
                warehouse.spark,
                warehouse.frame(query, parameters),
                Registry(home, settings).folder(version) / SERVING,
                k,
                stamp=version.name,
                candidates=None if candidates is None else candidates.to_pylist(),
                blocked=blocked.to_pylist(),
            )
            return stack.enter_context(warehouse.written(rows, RANKED))

        yield by_workers


def _report(
    version: ModelVersion, recommender: NextItemRecommender | None, rows: int, *, note: str | None = None
) -> RecommendReport:
    return RecommendReport(
        rows=rows,
        model=recommender.model if recommender is not None else "none",
        model_version=version.name,
        fallback=not is_champion(version),
        note=note,
    )


def _of_part(progress: Progress, number: int, parts: int, stage: str, share: float) -> None:
    """Progress of all parts from that of one."""
    progress(stage, (number + share) / parts)


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""
