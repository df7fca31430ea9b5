"""What the comparison of two engines covers, and that it finds a difference. Needs no cluster."""

from pathlib import Path

import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.contracts import table
from ecom_pipeline_tests.spark.comparing import differences
from ecom_pipeline_tests.spark.shops import MADE_BY_SQL


def test_every_sql_file_of_features_and_marts_is_compared() -> None:
    folder = Path(contracts.__file__).parents[1] / "sql"
    named = {file.stem for layer in ("features", "marts") for file in (folder / layer).glob("*.sql")}
    assert named == set(MADE_BY_SQL)


def test_a_difference_is_found() -> None:
    declared = table("feat_items")
    rows = {column.name: [None, None] for column in declared.columns} | {"item_id": ["a", "b"], "price": [1.0, 2.0]}
    ours = pa.table(rows)
    assert differences(declared, ours, pa.table(rows | {"item_id": ["b", "a"], "price": [2.0, 1.0]})) == []
    (found,) = differences(declared, ours, pa.table(rows | {"price": [1.0, 2.001]}))
    assert found == "feat_items.price: 1 of 2 rows differ, such as 2.0 and 2.001 at {'item_id': 'b'}"
    assert differences(declared, ours, pa.table(rows | {"name": [None, "x"]})) != []
