"""Two engines' rows of one table, side by side: equal but for the last digits of sums of floating-point numbers."""

import numpy as np
import pyarrow as pa

from ecom_pipeline.contracts import Table

RELATIVE = 1e-9
ABSOLUTE = 1e-9
"""Sums of the same numbers in another order differ in their last digits."""


def differences(declared: Table, ours: pa.Table, theirs: pa.Table, *, relative: float = RELATIVE) -> list[str]:
    """What differs, in words; both are sorted by the key first. None: the tables are the same.

    relative: by what share floating-point numbers may differ.
    """
    if ours.num_rows != theirs.num_rows:
        return [f"{declared.name}: {ours.num_rows} rows and {theirs.num_rows} rows"]
    order = [(name, "ascending") for name in (declared.key or declared.column_names)]
    ours, theirs = ours.sort_by(order), theirs.sort_by(order)
    found = []
    for column in declared.columns:
        left, right = (
            table.column(column.name).cast(_comparable(column.type)).combine_chunks() for table in (ours, theirs)
        )
        unequal = _unequal(left, right, relative=relative)
        if unequal.any():
            first = int(unequal.argmax())
            key = {name: ours.column(name)[first].as_py() for name, _ in order}
            found.append(
                f"{declared.name}.{column.name}: {int(unequal.sum())} of {len(unequal)} rows differ, such as "
                f"{left[first].as_py()!r} and {right[first].as_py()!r} at {key}"
            )
    return found


def _comparable(kind: str) -> pa.DataType:
    return {
        "VARCHAR": pa.large_string(),
        "BIGINT": pa.int64(),
        "INTEGER": pa.int32(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us"),
    }[kind]


def _unequal(left: pa.Array, right: pa.Array, *, relative: float) -> np.ndarray:
    nulls_left, nulls_right = (np.asarray(side.is_null()) for side in (left, right))
    if pa.types.is_floating(left.type):
        a, b = (np.nan_to_num(side.to_numpy(zero_copy_only=False), nan=0.0) for side in (left, right))
        apart = ~np.isclose(a, b, rtol=relative, atol=ABSOLUTE)
    else:
        equal = pa.compute.equal(left, right)
        apart = ~np.asarray(pa.compute.fill_null(equal, True))
    return (nulls_left != nulls_right) | (apart & ~nulls_left)
