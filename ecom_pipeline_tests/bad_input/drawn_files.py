"""Files as hypothesis draws them for the fuzzing: CSV, packed or not, JSON Lines, Parquet; whole, odd or damaged.

Drawing costs more than reading. So each drawn file is also changed a little, several times, as mutating fuzzers do.
"""

import gzip
import io
import itertools
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from ecom_pipeline_tests.bad_input.cases import COLUMNS, HEADER, TIME
from ecom_pipeline_tests.bad_input.rows import INJECTIONS, NO_NUMBERS, NO_TIMES, ODD_IDS


@dataclass(frozen=True, slots=True)
class Drawn:
    """A file for a folder of the corpus' shop."""

    folder: str
    suffix: str
    contents: bytes


FIELDS = st.one_of(
    st.sampled_from((*NO_NUMBERS, *NO_TIMES, *ODD_IDS, *INJECTIONS)),
    st.sampled_from(("1", "2.5", TIME, "2024-01-05", "apple", "")),
    st.text(max_size=12),
)
RAW_BYTES = st.one_of(
    st.binary(max_size=40), st.sampled_from((b"\x00", b'"', b"\r", b"\n", b"\r\n", b"\xff", b",", b"\xef\xbb\xbf"))
)
ENDS = st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"\r", b""))


def _line(fields: list[str]) -> bytes:
    return ",".join(fields).encode(errors="surrogatepass")


def _together(lines: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(itertools.chain.from_iterable(lines))


LINES = st.one_of(
    st.lists(FIELDS, min_size=6, max_size=6).map(_line), st.lists(FIELDS, max_size=9).map(_line), RAW_BYTES
)
BODIES = st.lists(st.tuples(LINES, ENDS), max_size=8).map(_together)
HEADS = st.one_of(
    st.just(HEADER.encode()), st.just(HEADER.encode()), RAW_BYTES, st.lists(st.text(max_size=10), max_size=8).map(_line)
)
_VALUES = st.one_of(
    FIELDS, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
_GOOD = dict(zip(COLUMNS, ("1", "ann", "apple", 2, 1.5, TIME), strict=True))
_OBJECTS = st.dictionaries(st.one_of(st.sampled_from(COLUMNS), st.text(max_size=4)), _VALUES, max_size=4).map(
    lambda changed: json.dumps(_GOOD | changed).encode()
)
_JSON_LINES = st.lists(st.tuples(st.one_of(_OBJECTS, RAW_BYTES), ENDS), max_size=5).map(_together)


_PARQUET_VALUES: tuple[pa.Array, ...] = (
    pa.array(["1", "2"]), pa.array(["", None]), pa.array(["NaN", "1,5"]), pa.array(["2024-02-30", TIME]),
    pa.array([1, -2]), pa.array([2**63 - 1, -(2**63)]), pa.array([1.5, float("nan")]), pa.array([1e308, float("-inf")]),
    pa.array([True, None]), pa.array([[1], []]), pa.array([{"a": 1}, None]), pa.array([b"\x00\xff", b"a"]),
    pa.array([0, 2**62], pa.timestamp("us")), pa.array([0, -1], pa.date32()), pa.array([None, None]),
    pa.array(["😀", "\u202eevil"]), pa.array(["a", "a"]).dictionary_encode(), pa.array(["x" * 300, "=1+1"]),
    pa.array([1, 2], pa.uint64()), pa.array([None, 1], pa.decimal128(38, 2)),
)  # fmt: skip
_COMPRESSIONS = st.sampled_from(("none", "snappy", "zstd", "gzip"))


def _parquet(changed: dict[str, int], rows: int, compression: str) -> bytes:
    columns = {name: pa.array([value, value]) for name, value in _GOOD.items()}
    columns |= {name: _PARQUET_VALUES[number] for name, number in changed.items()}
    target = io.BytesIO()
    pq.write_table(pa.table(columns).slice(0, rows), target, compression=compression)
    return target.getvalue()


def _damaged(contents: bytes, changes: list[tuple[float, int]], cut: float | None) -> bytes:
    """Some bytes replaced, and the end cut off."""
    changed = bytearray(contents)
    for share, value in changes:
        changed[int(share * len(changed))] = value
    return bytes(changed[: int(cut * len(changed))]) if cut is not None else bytes(changed)


_SHARES = st.floats(0, 0.9999)
_CHANGES = st.lists(st.tuples(_SHARES, st.integers(0, 255)), max_size=3)
_CUTS = st.one_of(st.none(), st.none(), st.none(), _SHARES)
_PARQUET_FILES = st.builds(
    _damaged,
    st.builds(
        _parquet,
        st.dictionaries(
            st.one_of(st.sampled_from(COLUMNS), st.text(max_size=4)),
            st.integers(0, len(_PARQUET_VALUES) - 1),
            max_size=3,
        ),
        st.integers(0, 2),
        _COMPRESSIONS,
    ),
    st.one_of(st.just([]), _CHANGES),
    _CUTS,
)
_CSV = st.builds(lambda head, body: head + body, HEADS, BODIES)
_PACKED = st.builds(
    lambda csv, changes, cut: _damaged(gzip.compress(csv, 1, mtime=0), changes, cut),
    _CSV,
    st.one_of(st.just([]), _CHANGES),
    _CUTS,
)
FILES = st.one_of(
    _CSV.map(lambda contents: Drawn("csv", ".csv", contents)),
    _CSV.map(lambda contents: Drawn("csv", ".csv", contents)),
    _CSV.map(lambda contents: Drawn("latin1", ".csv", contents)),
    _PACKED.map(lambda contents: Drawn("csv", ".csv.gz", contents)),
    _JSON_LINES.map(lambda contents: Drawn("jsonl", ".jsonl", contents)),
    _PARQUET_FILES.map(lambda contents: Drawn("parquet", ".parquet", contents)),
    st.tuples(st.sampled_from((("csv", ".csv.gz"), ("csv", ".csv.zst"), ("parquet", ".parquet"))), RAW_BYTES).map(
        lambda drawn: Drawn(*drawn[0], drawn[1])
    ),
)

SEEDS = st.integers(0, 2**32 - 1)
_TOKENS = (
    b"\x00", b'"', b"\r", b"\n", b"\r\n", b",", b"\xff", b"\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"PAR1", b"{", b"}",
    b"[", b"\\", b"'", b"NaN", b"-1", b"1e999", b"0" * 300, b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x1a", b"\x1f", b"\x0b",
    b"\xe2\x80\xa8", HEADER.encode(), TIME.encode(), b"\xff\xff\xff\x7f",
)  # fmt: skip


def with_variants(drawn: Drawn, seed: int, *, files: int) -> Iterator[Drawn]:
    """The file, and as many changed copies of it as make `files`; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    yield drawn
    for _ in range(files - 1):
        yield replace(drawn, contents=_changed(drawn, rng))


def _changed(drawn: Drawn, rng: random.Random) -> bytes:
    """Changed once to three times; what is packed is changed inside or outside."""
    if drawn.suffix.endswith(".gz") and rng.random() < 0.5:
        try:
            inside = gzip.decompress(drawn.contents)
        except (OSError, EOFError, zlib.error):
            inside = b""
        return gzip.compress(_mutated(inside, rng), 1, mtime=0)
    return _mutated(drawn.contents, rng)


def _mutated(contents: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 3)):
        start = rng.randint(0, len(contents))
        end = min(len(contents), start + rng.choice((1, 1, 2, 8, 40)))
        middle = contents[start:end]
        match rng.randrange(6):
            case 0:  # other bytes
                middle = bytes(byte ^ (1 << rng.randrange(8)) for byte in middle)
            case 1:  # gone
                middle = b""
            case 2:  # twice
                middle += middle
            case 3:  # something before it
                middle = rng.choice(_TOKENS) + middle
            case 4:  # something in its place
                middle = rng.choice(_TOKENS)
            case 5 if rng.random() < 0.3:  # cut
                end = len(contents)
        contents = contents[:start] + middle + contents[end:]
    return contents
