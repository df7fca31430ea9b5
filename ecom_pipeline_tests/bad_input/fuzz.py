# ruff: noqa: E501 - strategies read better one a line
"""Fuzzing of what comes from outside: files, headers, profiles, their SQL expressions, settings.

    python -m ecom_pipeline_tests.bad_input.fuzz --cases 200000

Whatever is thrown at them, readers end with rows in core or quarantine or with a refused file, and documents end with
an error that names them. The command prints how many cases each target was given, however it ends; a case that
breaks a promise ends it with hypothesis' smallest example. The tests run the same targets for some seconds.
"""

import argparse
import itertools
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ecom_pipeline.documents import DocumentError, parse_document
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources.expressions import Expression, ExpressionError, checked_expression
from ecom_pipeline.sources.files import FileRefusedError, LandingFile, fingerprint, sources_of
from ecom_pipeline.sources.profile import SourceProfile
from ecom_pipeline.sources.readers import compression_and_layout
from ecom_pipeline_tests.bad_input.cases import PROFILE
from ecom_pipeline_tests.bad_input.drawn_files import FILES, SEEDS, Drawn, with_variants
from ecom_pipeline_tests.sources.shop import ORDERS, open_shop, profile_of

Target = Callable[[Any], int]
EXAMPLES = {"headers": 500, "rows": 25, "profiles": 1_000, "settings": 1_000, "expressions": 1_000}
"""In a batch."""
SHARES = {"headers": 0.84, "rows": 0.05, "profiles": 0.05, "settings": 0.04, "expressions": 0.02}
VARIANTS = 10
"""Cases that one drawn file gives to the reader of headers; half as many where it is loaded."""
DRAWN_AT_ONCE = 8

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(),
    st.sampled_from(("UTC", "%Y", "orders", "../x", "/etc/passwd", "a" * 300, "iso", "exact", "gru", "1GB", "25:00", "02:00")),
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
SQL_WORDS = st.sampled_from(
    """( ) , ' " ; -- /* */ * + || :: [ ] { } . = < qty price order SELECT FROM WHERE ATTACH COPY INSTALL LOAD PRAGMA SET
    read_csv('/etc/passwd') getenv('HOME') upper( trim( CASE WHEN THEN ELSE END CAST( AS DOUBLE) TRY_CAST( NULL IS NOT IN
    BETWEEN AND OR 1 2.5 'x' current_setting('x') repeat( 'a', 999999999) x -> list_transform(  UNION EXCEPT $1 ? :a
    (SELECT 1) row_number() OVER () COLUMNS(*) regexp_replace( strptime( INTERVAL 1 DAY glob('*') sleep_ms(""".split()  # noqa: SIM905
)
EXPRESSIONS = st.one_of(st.text(max_size=40), st.lists(SQL_WORDS, max_size=12).map(" ".join))


@contextmanager
def targets() -> Iterator[dict[str, tuple[Target, Any]]]:
    """Name -> what is tried (it returns how many cases that were) and the strategy of its argument."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        yield {
            "headers": (_headers(Path(folder)), st.tuples(FILES, SEEDS)),
            "settings": (_settings, st.dictionaries(st.one_of(st.sampled_from(tuple(Settings.model_fields)), st.text(max_size=8)), TREES, max_size=5)),
            "profiles": (_profiles, st.tuples(st.lists(st.integers(0, 40), min_size=1, max_size=4), TREES, st.booleans())),
            "expressions": (_expressions, EXPRESSIONS),
            "rows": (_rows(Path(folder)), st.lists(st.tuples(FILES, SEEDS), min_size=DRAWN_AT_ONCE, max_size=DRAWN_AT_ONCE)),
        }  # fmt: skip


def _headers(folder: Path) -> Target:
    sources = {source.folder: source for source in sources_of(profile_of(PROFILE))}

    def read(file: Drawn) -> None:
        path = folder / f"x{file.suffix}"
        path.write_bytes(file.contents)
        now = datetime.now(UTC).replace(tzinfo=None)
        landed = LandingFile(sources[file.folder], f"{file.folder}/{path.name}", path, len(file.contents), now)
        try:
            compression, layout = compression_and_layout(landed)
            assert file.folder == "jsonl" or {"order", "qty"} <= {name.casefold() for name in layout.columns}
            newlines = fingerprint(landed, compression).newlines
            packed = None if compression == "none" else compression
            with pa.input_stream(pa.BufferReader(file.contents), compression=packed) as stream:
                plain = stream.read()
            assert newlines == (-1 if file.folder == "parquet" else plain.count(b"\n"))
        except FileRefusedError as error:
            assert str(error).startswith(landed.path), error

    def read_variants(drawn: tuple[Drawn, int]) -> int:
        for file in with_variants(*drawn, files=VARIANTS):
            try:
                read(file)
            except Exception as error:
                error.add_note(f"the file: {file}")
                raise
        return VARIANTS

    return read_variants


def _rows(folder: Path) -> Target:
    numbers = itertools.count()

    def load(drawn: list[tuple[Drawn, int]]) -> int:
        files = [file for one in drawn for file in with_variants(*one, files=VARIANTS // 2)]
        root = folder / f"shop{next(numbers)}"
        with open_shop(root, PROFILE) as shop:
            for number, file in enumerate(files):
                shop.write(f"{file.folder}/{number}{file.suffix}", file.contents)
            report, _ = shop.ingest()
            assert shop.is_conserved()
            assert report.files_loaded + len(report.refused) == len(files)
            for path, error in report.refused:
                assert error.startswith(path), error
            finite = "isfinite(quantity) AND abs(quantity) < 1e12 AND coalesce(isfinite(unit_price), TRUE)"
            wrong = f"NOT ({finite}) OR order_date < DATE '1990-01-01' OR length(item_id) > 256 OR item_id = ''"
            assert shop.rows(f"SELECT * FROM core_order_lines WHERE {wrong}") == []
            assert shop.rows("SELECT count(*) FROM quarantine_orders WHERE coalesce(reason, '') = ''") == [(0,)]
        shutil.rmtree(root)
        return len(files)

    return load


def _settings(document: dict[str, Any]) -> int:
    text = _as_yaml({"profile": "sample", **document})
    try:
        assert isinstance(parse_document(text, Settings, name="settings.yaml"), Settings)
    except DocumentError as error:
        assert str(error).startswith("settings.yaml"), error
    return 1


def _as_yaml(document: Any) -> str:
    try:
        return str(yaml.safe_dump(document, allow_unicode=True))
    except yaml.YAMLError:
        return repr(document)


def _profiles(drawn: tuple[list[int], Any, bool]) -> int:
    path, value, removes = drawn
    document = yaml.safe_load(ORDERS)
    _mutate(document, path, value, removes=removes)
    try:
        profile = parse_document(_as_yaml(document), SourceProfile, name="shop.yaml")
        assert profile.readers("orders") or profile.readers("browse")
    except DocumentError as error:
        assert str(error).startswith("shop.yaml"), error
    return 1


def _mutate(document: Any, path: list[int], value: Any, *, removes: bool) -> None:
    """Follow `path` into the document, and put `value` there, or take away what is there."""
    node = document
    for depth, step in enumerate(path):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[step % len(keys)]
        if depth == len(path) - 1 or not isinstance(node[key], dict | list):
            if removes:
                del node[key]
            else:
                node[key] = value
            return
        node = node[key]


def _expressions(text: str) -> int:
    checked_expression.cache_clear()
    try:
        assert isinstance(checked_expression(text), Expression)
    except ExpressionError as error:
        assert str(error)
    return 1


def fuzz(target: Target, strategy: Any, *, examples: int, start: int) -> int:
    """Try a target with so many examples from one seed; returns the cases, which may be several an example."""
    cases = 0

    @seed(start)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(strategy)
    def attack(value: Any) -> None:
        nonlocal cases
        cases += target(value)

    attack()
    return cases


def main() -> None:
    """Fuzz for as many cases as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0, help="the first; batches count up from it")
    parser.add_argument("--minutes", type=float, default=None, help="end after so long, with what was tried by then")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ends = None if arguments.minutes is None else time.monotonic() + 60 * arguments.minutes
    tried = dict.fromkeys(SHARES, 0)
    try:
        with targets() as all_targets:
            fuzz_all(all_targets, tried, cases=arguments.cases, first_seed=arguments.seed, ends=ends)
    finally:  # also when it is interrupted, or something broke
        print(*(f"{name:12s} {cases:8,} cases" for name, cases in tried.items()), sep="\n")
        print(f"total        {sum(tried.values()):8,} cases", flush=True)
    print("nothing broken")


def fuzz_all(
    all_targets: dict[str, tuple[Target, Any]],
    tried: dict[str, int],
    *,
    cases: int,
    first_seed: int,
    ends: float | None,
) -> None:
    """Batches of all targets in turn, so that each has its share whenever it ends; counts the cases in `tried`."""
    starts = itertools.count(first_seed)
    while sum(tried.values()) < cases and (ends is None or time.monotonic() < ends):
        # the target that is farthest behind its share
        name = min(tried, key=lambda one: tried[one] / SHARES[one])
        target, strategy = all_targets[name]
        examples = EXAMPLES[name]
        tried[name] += fuzz(target, strategy, examples=examples, start=next(starts))


if __name__ == "__main__":
    main()
