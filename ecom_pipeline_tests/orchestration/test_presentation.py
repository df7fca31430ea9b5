"""How tables, checks and plots look in the Dagster UI."""

import base64
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest

from ecom_pipeline.contracts import Severity, table
from ecom_pipeline.orchestration import plots
from ecom_pipeline.orchestration.checks import as_check_result
from ecom_pipeline.orchestration.lineage import tables_read_by
from ecom_pipeline.orchestration.observing import SilentObserver
from ecom_pipeline.orchestration.pictures import mlflow_run
from ecom_pipeline.orchestration.presentation import (
    IN_THE_REPORT,
    column_schema,
    markdown_table,
    past_counts,
    place_in_report,
    sparkline,
    table_metadata,
)
from ecom_pipeline.orchestration.questions import contract_question
from ecom_pipeline.orchestration.resources import Shop
from ecom_pipeline.quality import CheckResult, TableValidation, validate
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.warehouse import open_warehouse

NIGHT = date(2026, 1, 31)


def checked(rule: str, *, success: bool, severity: Severity = "error") -> CheckResult:
    return CheckResult(
        rule=rule,
        expectation="expect_something",
        severity=severity,
        success=success,
        observed="7 rows",
        rows_checked=100,
        rows_unexpected=0 if success else 7,
        examples=() if success else ({"item_id": "a|b", "price": -1.0},),
        sentence=f"feat_items: {rule}. Mend it.",
    )


def validation(*results: CheckResult) -> TableValidation:
    return TableValidation(table_name="feat_items", suite="contract", as_of=NIGHT, results=results)


def test_the_page_of_a_contract_names_the_rules_that_its_result_counts(tmp_path: Path) -> None:
    declared = table("segments")
    with open_warehouse(tmp_path / "warehouse.duckdb", Settings(profile="sample")) as warehouse:
        found = validate(warehouse, declared, as_of=NIGHT, run_id="run-1")
    rules = [result.rule for result in found.results]
    described = contract_question(declared).description
    assert described == f"The {len(rules)} rules of the table's contract: {'; '.join(rules)}."


def test_a_cell_cannot_break_out_of_its_table() -> None:
    rendered = markdown_table(("name",), [("a|b\n| <script>`x`",)])
    assert rendered.splitlines() == ["| name |", "| --- |", "| a\\|b \\| \\<script\\>\\`x\\` |"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (1234567.891, "1,234,568"),
        (0.123456, "0.1235"),
        (1_000_000, "1,000,000"),
        (True, "True"),
        (NIGHT, "2026-01-31"),
    ],
)
def test_values_are_shown_as_people_write_them(value: Any, shown: str) -> None:
    assert markdown_table(("x",), [(value,)]).splitlines()[-1] == f"| {shown} |"


def test_columns_carry_meaning_nullness_and_rules() -> None:
    schema = column_schema(table("core_products"))
    price = next(column for column in schema.columns if column.name == "price")
    assert price.description == "List price of one unit."
    assert price.constraints.other == ["price is at least 0"]
    key = next(column for column in schema.columns if column.name == "item_id")
    assert not key.constraints.nullable
    assert "active_from is not after active_to" in (schema.constraints.other if schema.constraints else [])


def test_lineage_is_what_the_sql_reads_not_what_its_comments_mention() -> None:
    assert tables_read_by(table("feat_sessions")) == {"feat_user_events"}
    assert "core_order_lines" in tables_read_by(table("feat_sales_daily"))


def test_a_failed_rule_of_severity_error_blocks_and_shows_examples() -> None:
    result = as_check_result(
        "feat_items", "contract", validation(checked("a", success=True), checked("price is at least 0", success=False))
    )
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert "price is at least 0" in (result.description or "")
    assert result.metadata["rows that break it"].value == 7
    assert "a\\|b" in str(result.metadata["examples"].value)


def test_a_failed_warning_does_not_block() -> None:
    result = as_check_result(
        "feat_items", "contract", validation(checked("a", success=True), checked("b", success=False, severity="warn"))
    )
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN


def test_a_check_says_what_was_expected_found_and_to_do_when_all_is_well_too() -> None:
    passed = as_check_result("feat_items", "contract", validation(checked("a", success=True)))
    assert passed.description == "feat_items: one rule was expected to hold, and it does; nothing to do."
    failed = as_check_result("feat_items", "contract", validation(checked("price is at least 0", success=False)))
    assert "Mend it" in (failed.description or "")
    assert "nothing was asked" in (as_check_result("raw_browse", "contract", validation()).description or "")


def test_counts_of_past_nights_are_a_line_of_bars() -> None:
    nights = [(date(2026, 1, 29), 100), (date(2026, 1, 30), 400), (NIGHT, 250)]
    assert sparkline(nights) == "▁█▅  100 (2026-01-29) to 250 (2026-01-31)"
    assert sparkline([(NIGHT, 5), (NIGHT, 5)]).startswith("▅▅")


def test_a_table_shows_its_rows_and_those_of_past_nights(tmp_path: Path) -> None:
    declared = table("rfm_segment_sizes")
    with open_warehouse(tmp_path / "w.duckdb", Settings(profile="test")) as warehouse:
        for n in range(3):
            warehouse.run(
                "INSERT INTO rfm_segment_sizes SELECT CAST(:night AS DATE), 'loyal', 1, 1, NULL, NULL, 1, 1 "
                "UNION ALL SELECT CAST(:night AS DATE), 'champions', 1, 1, NULL, NULL, 1, 1",
                {"night": date(2026, 1, 29 + n)},
            )
        warehouse.run("DELETE FROM rfm_segment_sizes WHERE as_of = DATE '2026-01-29' AND segment = 'loyal'")
        shown = table_metadata(warehouse, declared, as_of=date(2026, 1, 30))
        assert shown["dagster/partition_row_count"] == 2
        assert shown["rows of past nights"].value == "▁█  1 (2026-01-29) to 2 (2026-01-30)"
        assert "champions" in shown["preview"].value
        assert "monetary" in shown["dagster/column_lineage"].deps_by_column
        warehouse.run(
            "INSERT INTO runs SELECT 'r' || n, DATE '2026-01-29' + CAST(n AS INTEGER), 'feat_items', 'succeeded', "
            "TIMESTAMP '2026-02-01', 1, 10 * n + 10, 1, '0' FROM range(3) AS t(n)"
        )
        assert past_counts(warehouse, table("feat_items"), NIGHT) == [
            (date(2026, 1, 29), 10),
            (date(2026, 1, 30), 20),
            (NIGHT, 30),
        ]


def test_what_held_is_listed_too() -> None:
    result = as_check_result("feat_items", "contract", validation(checked("a", success=True)))
    assert result.passed
    assert "| passed | a | error | 7 rows |" in str(result.metadata["found"].value)


@pytest.mark.parametrize(
    "picture",
    [
        plots.loss_curves({"gru": [3.0, 2.0, 1.5], "gru refitted": [1.4, 1.2]}, title="Losses"),
        plots.forecast_against_actual(
            actual=[(date(2026, 1, 30), 5.0), (NIGHT, None)],
            forecast=[(date(2026, 2, 1), 5.0, 3.0, 7.0), (date(2026, 2, 2), 6.0, 4.0, 8.0)],
            unit="units",
            title="Forecast",
        ),
        plots.bars([("a", 3.0), ("b", 0.0)], title="Counts", unit="users"),
        plots.lines({"Jan": [(1.0, 0.2), (2.0, 0.1)]}, title="Retention", x="months", y="share"),
        plots.reliability({"buys": [(0.1, 0.12), (0.4, 0.38)]}, title="Said and came"),
        plots.bars_beside_baseline([("first 5", 0.2, 0.1), ("first 10", 0.3, None)], title="Hits", unit="share"),
    ],
    ids=["losses", "forecast", "counts", "lines", "reliability", "bars"],
)
def test_a_plot_is_a_small_png_inside_markdown(picture: str) -> None:
    start = picture.index("base64,") + len("base64,")
    image = base64.b64decode(picture[start:-1])
    assert image.startswith(b"\x89PNG")
    assert len(image) < 60_000


def test_a_table_leads_to_its_section_of_the_nights_report(tmp_path: Path) -> None:
    told = place_in_report(Home(tmp_path), "funnel_daily", NIGHT)
    assert told["in the report"].value == f"{tmp_path.as_uri()}/reports/2026-01-31.html#funnel"
    assert place_in_report(Home(tmp_path), "feat_items", NIGHT) == {}


def test_the_sections_that_tables_lead_to_are_in_the_report() -> None:
    template = (files("ecom_pipeline.report") / "template" / "report.html.j2").read_text(encoding="utf-8")
    assert {section for section in IN_THE_REPORT.values() if f'<section id="{section}"' not in template} == set()
    assert {name for name in IN_THE_REPORT if table(name).published_as is None} == set()


@pytest.mark.parametrize(
    "uri", ["https://mlflow.example", "https://mlflow.example/", "sqlite:////var/lib/runs db/mlflow.db"]
)
def test_the_run_of_a_version_is_a_link_to_its_server_or_the_commands_that_open_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "tracked_as", lambda registry, version: ("3", "a1b2"))
    shop = Shop(
        home=Home(tmp_path),
        settings=Settings(profile="sample", mlflow_tracking_uri=uri),
        profile=cast(Any, None),
        warehouse=cast(Any, None),
        observer=SilentObserver(),
    )
    shown = mlflow_run(shop, cast(Any, None))
    if uri.startswith("https"):
        assert shown == dg.MetadataValue.url("https://mlflow.example/#/experiments/3/runs/a1b2")
    else:
        assert "mlflow ui --backend-store-uri 'sqlite:////var/lib/runs db/mlflow.db'" in str(shown.value)
        assert "(http://127.0.0.1:5000/#/experiments/3/runs/a1b2)" in str(shown.value)
