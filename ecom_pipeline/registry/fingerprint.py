"""A hash of the data that a model learnt from."""

import hashlib

import pandas as pd
import pyarrow as pa

ROWS_AT_ONCE = 1_000_000


def fingerprint(frame: pd.DataFrame | pa.Table) -> str:
    """Sixteen hexadecimal digits that follow from the columns and rows of a frame, in their order; how an Arrow table
    is cut into chunks, and whether a column is a dictionary, changes nothing."""
    names = frame.column_names if isinstance(frame, pa.Table) else frame.columns
    digest = hashlib.sha256(",".join(names).encode())
    for start in range(0, len(frame), ROWS_AT_ONCE):
        if isinstance(frame, pa.Table):
            rows = frame.slice(start, ROWS_AT_ONCE).to_pandas()
        else:
            rows = frame.iloc[start : start + ROWS_AT_ONCE]
        digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]
