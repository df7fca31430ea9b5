"""Which subqueries of a file Spark computes once; that the rows are DuckDB's is compared on a cluster."""

from pathlib import Path

import pytest

from ecom_pipeline.contracts import ALL_TABLES
from ecom_pipeline.spark.tables import held_of
from ecom_pipeline.warehouse import sql_text
from ecom_pipeline.warehouse.sql_files import subqueries_of
from ecom_pipeline_tests.real_data import CHECKOUT

ON_THE_CLUSTER = [path for layer in ("core", "features", "marts") for path in (CHECKOUT / "sql" / layer).glob("*.sql")]


@pytest.mark.parametrize(
    ("subqueries", "rest", "held"),
    [
        ({"a": "SELECT x FROM t GROUP BY x"}, "SELECT * FROM a", set()),
        ({"a": "SELECT x FROM t GROUP BY x"}, "SELECT * FROM a JOIN a AS b ON a.x = b.x", {"a"}),
        ({"a": "SELECT x FROM t WHERE x > 1"}, "SELECT * FROM a JOIN a AS b ON a.x = b.x", set()),
        ({"a": "SELECT x FROM t UNION ALL SELECT x FROM u"}, "SELECT * FROM a UNION ALL SELECT * FROM a", set()),
        ({"a": "SELECT x FROM t UNION SELECT x FROM u"}, "SELECT * FROM a UNION ALL SELECT * FROM a", {"a"}),
        # a look at what takes work takes work, unless that is held
        (
            {"a": "SELECT DISTINCT x FROM t", "b": "SELECT x FROM a", "c": "SELECT x FROM b"},
            "SELECT * FROM b JOIN c ON b.x = c.x",
            {"b"},
        ),
        (
            {"a": "SELECT DISTINCT x FROM t", "b": "SELECT x FROM a", "c": "SELECT x FROM a"},
            "SELECT * FROM b JOIN b AS d ON b.x = d.x JOIN c ON b.x = c.x",
            {"a"},
        ),
        # a column of the same name is no naming of it
        ({"a": "SELECT count(*) AS a FROM t GROUP BY x"}, "SELECT a, a + 1 FROM a", set()),
    ],
)
def test_what_takes_work_and_is_named_twice_is_held(subqueries: dict[str, str], rest: str, held: set[str]) -> None:
    assert held_of(subqueries, rest) == held


def test_what_the_funnel_names_more_than_once_is_held() -> None:
    assert held_of(*subqueries_of(sql_text("marts", "funnel_daily"))) >= {
        "sessions",
        "steps",
        "dated_steps",
        "day_steps",
    }


@pytest.mark.parametrize("path", ON_THE_CLUSTER, ids=lambda path: path.stem)
def test_no_subquery_takes_the_name_of_a_table(path: Path) -> None:
    subqueries, _ = subqueries_of(path.read_text(encoding="utf-8"))
    assert not subqueries.keys() & ALL_TABLES.keys()
