"""Frames at the edge: Arrow or pandas in, checked columns out, and result frames in the caller's kind.

What belongs here: column contracts of the frames that users pass and get. No model code.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Frame: TypeAlias = pa.Table | pd.DataFrame
FrameKind = Literal["arrow", "pandas"]


class FrameError(ValueError):
    """A frame lacks a column, or a column holds what cannot be used."""


def frame_kind(frame: Frame) -> FrameKind:
    """Which kind of frame the caller works with; results come back in the same kind."""
    return "pandas" if isinstance(frame, pd.DataFrame) else "arrow"


def as_table(frame: Frame, *, name: str, required: tuple[str, ...]) -> pa.Table:
    """An Arrow table of `frame`, with every column of `required` present.

    Raises:
        FrameError: for another type, or a missing column (the message names the columns that are there).
    """
    if isinstance(frame, pd.DataFrame):
        table = pa.Table.from_pandas(frame, preserve_index=False)
    elif isinstance(frame, pa.Table):
        table = frame
    elif isinstance(frame, pa.RecordBatch):
        table = pa.Table.from_batches([frame])
    else:
        raise FrameError(f"{name}: expected a pyarrow Table or a pandas DataFrame, got {type(frame).__name__}")
    missing = [column for column in required if column not in table.column_names]
    if missing:
        raise FrameError(f"{name}: missing column(s) {', '.join(missing)}; it has {', '.join(table.column_names)}")
    return table


def id_column(table: pa.Table, column: str, *, name: str, nulls: bool = False) -> pa.Array:
    """The ids of a column as one Arrow array of int64 or string.

    Raises:
        FrameError: for other types, or nulls where `nulls` is false (the message gives the first row).
    """
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_integer(values.type):
        values = values.cast(pa.int64())
    elif pa.types.is_floating(values.type):
        # pandas turns integer ids with gaps into floats
        try:
            values = pc.cast(values, pa.int64(), safe=True)
        except pa.ArrowInvalid as error:
            raise FrameError(f"{name}.{column}: ids must be integers or strings, not fractions") from error
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_null(values.type):
        values = values.cast(pa.string())
    else:
        raise FrameError(f"{name}.{column}: ids must be integers or strings, got {values.type}")
    array = values.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=values.type)
    if not nulls and array.null_count:
        row = int(pc.index(array.is_null(), True).as_py())
        raise FrameError(f"{name}.{column}: row {row} is null; every row needs a {column}")
    return array


def encoded_ids(table: pa.Table, column: str, *, name: str, nulls: bool = False) -> tuple[np.ndarray, pa.Array]:
    """The ids of a column as codes int32 (rows,), -1 for nulls, and the ids behind the codes in order of first
    appearance. What is a dictionary already is not spelled out.

    Raises:
        FrameError: as `id_column`.
    """
    values = table.column(column)
    if not pa.types.is_dictionary(values.type):
        encoded = pc.dictionary_encode(id_column(table, column, name=name, nulls=nulls))
        return _codes(encoded.indices), encoded.dictionary
    merged = values.chunk(0) if values.num_chunks == 1 else _one_chunk(values.unify_dictionaries())
    if not nulls and merged.null_count:
        row = int(pc.index(merged.is_null(), True).as_py())
        raise FrameError(f"{name}.{column}: row {row} is null; every row needs a {column}")
    ids = id_column(pa.table({column: merged.dictionary}), column, name=name)
    # ids that no row has must not be known: they may be those of rows that were left out
    present = pc.unique(merged.indices).drop_null()
    place = np.full(len(ids) + 1, -1, dtype=np.int32)
    place[present.to_numpy()] = np.arange(len(present), dtype=np.int32)
    return place[_codes(merged.indices)], ids.take(present)


def _one_chunk(values: pa.ChunkedArray) -> pa.Array:
    combined = values.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _codes(indices: pa.Array) -> np.ndarray:
    return pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)


def is_among(table: pa.Table, column: str, wanted: pa.Array, *, name: str, nulls: bool = False) -> np.ndarray:
    """Whether the id of each row is one of `wanted`, bool (rows,); a null is not.

    Raises:
        FrameError: as `id_column`.
    """
    codes, ids = encoded_ids(table, column, name=name, nulls=nulls)
    among = pc.is_in(ids, value_set=wanted).to_numpy(zero_copy_only=False)
    # the last place is that of nulls
    return np.asarray(np.append(among, False)[codes], dtype=bool)


def seconds_column(table: pa.Table, column: str, *, name: str) -> np.ndarray:
    """Times as float64 seconds, shape (rows,): timestamps and dates since the epoch, numbers as they are.

    Raises:
        FrameError: for nulls or another type.
    """
    values = table.column(column)
    if values.null_count:
        row = int(pc.index(values.is_null(), True).as_py())
        raise FrameError(f"{name}.{column}: row {row} is null")
    if pa.types.is_timestamp(values.type):
        micros = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False).cast(pa.int64())
        seconds = micros.to_numpy().astype(np.float64)
        seconds /= 1e6
        return seconds
    if pa.types.is_date(values.type):
        return values.cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.float64) * 86_400.0
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        seconds = values.to_numpy().astype(np.float64)
        if not np.isfinite(seconds).all():
            row = int(np.flatnonzero(~np.isfinite(seconds))[0])
            raise FrameError(f"{name}.{column}: row {row} is not a finite number")
        return seconds
    raise FrameError(f"{name}.{column}: expected a timestamp, a date or a number, got {values.type}")


def seconds_of(moment: Any) -> float:
    """Seconds since the epoch of a datetime, date, ISO string or number (numbers as they are)."""
    if isinstance(moment, int | float | np.integer | np.floating):
        return float(moment)
    stamp = pd.Timestamp(moment)
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return float((stamp - pd.Timestamp(0)) / pd.Timedelta(seconds=1))


def make_frame(columns: Mapping[str, Any], kind: FrameKind) -> Frame:
    """A result frame of the caller's kind from named arrays."""
    table = pa.table(dict(columns))
    return table.to_pandas() if kind == "pandas" else table
