"""A hash of the data that a model learnt from."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

ROWS_AT_ONCE = 1_000_000


def fingerprint(frame: pd.DataFrame | pa.Table) -> str:
    """Sixteen hexadecimal digits that follow from the columns and rows of a frame, in their order; how an Arrow table
    is cut into chunks, and whether a column of text is a dictionary, changes nothing."""
    names = frame.column_names if isinstance(frame, pa.Table) else frame.columns
    digest = hashlib.sha256(",".join(names).encode())
    if isinstance(frame, pd.DataFrame):
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]
    for column in frame.itercolumns():
        is_text = pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)
        for part in _text_hashes(column) if is_text else _hashes(column):
            digest.update(part.tobytes())
    return digest.hexdigest()[:16]


def _hashes(column: pa.ChunkedArray) -> Iterator[np.ndarray]:
    for start in range(0, len(column), ROWS_AT_ONCE):
        values = column.slice(start, ROWS_AT_ONCE).to_pandas()
        yield pd.util.hash_pandas_object(values, index=False).to_numpy()


def _text_hashes(column: pa.ChunkedArray) -> Iterator[np.ndarray]:
    """Each text is hashed once a dictionary, and looked up by its code."""
    for chunk in column.chunks:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        texts = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
        # the last place is that of nulls
        hashes = np.append(pd.util.hash_array(texts, categorize=False), np.uint64(0))
        yield hashes[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
