"""Loading landing: every row of every new or changed file into the raw tables, each file with its ledger entry.

Rows that cannot be parsed go to quarantine; files that cannot be read are refused; all others go on.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecom_pipeline.sources import ledger
from ecom_pipeline.sources.file_ids import assign
from ecom_pipeline.sources.files import (
    FileRefusedError,
    LandingFile,
    Source,
    as_it_is_now,
    compression_of,
    find_files,
    fingerprint,
    refuse_outside,
    sources_of,
)
from ecom_pipeline.sources.loading import (
    Candidate,
    CannotReadError,
    ChangedWhileReadError,
    ForgottenAmong,
    OpenQuotesError,
    PeopleToForgetError,
    create_raw_table,
    load_together,
)
from ecom_pipeline.sources.mending import MOST_PASSES, is_irregular, mended_copy, without_quotes
from ecom_pipeline.sources.profile import FileSet, SourceProfile
from ecom_pipeline.sources.readers import FILE_INDEX, Layout, compression_and_layout
from ecom_pipeline.sources.removal import remove_rows
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.fingerprint import fingerprint_of

Progress = Callable[[str], None]

BATCH_BYTES = 512 << 20
BATCH_FILES = 500
MENDING = ".mending-"
YOUNG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What one look at landing did."""

    files_found: int = 0
    files_loaded: int = 0
    files_unchanged: int = 0
    files_removed: int = 0
    rows_in: int = 0
    rows_unreadable: int = 0
    refused: tuple[tuple[str, str], ...] = field(default=())
    """Path and error of each file that stands refused, from this look or an earlier one."""
    deferred: tuple[str, ...] = field(default=())
    """Paths of files that changed while they were read; the next look takes them."""


def load_landing(
    warehouse: Warehouse,
    *,
    landing: Path,
    profile: SourceProfile,
    run_id: str,
    on_progress: Progress | None = None,
    settle_seconds: float = 0.0,
    forgotten_among: ForgottenAmong | None = None,
) -> LoadReport:
    """Load what is new or changed in landing into the raw tables.

    Each file is loaded in one transaction with its ledger entry; small files share one. Files known by size and time,
    or by their contents, are passed over. A changed file replaces its own raw rows and waits for `update_core`.

    Where files were written less than a minute ago, `settle_seconds` are waited; those that change meanwhile are still
    being written and are left to the next look.

    Rows of people of whom `forgotten_among` says that they were forgotten are taken out of the files in landing first.

    Raises:
        WarehouseError, duckdb.Error: if the warehouse itself fails; nothing of the batch at work is kept then.
    """
    sources = sources_of(profile)
    _forget_changed_dialects(warehouse, sources)
    for source in sources:
        create_raw_table(warehouse, source)
    known = ledger.entries(warehouse)
    found, unsettled = _settled(find_files(landing, sources), settle_seconds)
    report = LoadReport(files_found=len(found) + len(unsettled), deferred=tuple(file.path for file in unsettled))

    there = {(file.source.feed, file.path) for file in (*found, *unsettled)}
    newly_gone = [entry.file_id for key, entry in known.items() if key not in there and entry.status == "loaded"]
    ledger.mark_removed(warehouse, newly_gone)
    report = replace(report, files_removed=len(newly_gone))

    file_ids = _file_ids(warehouse, found, known)
    candidates: list[Candidate] = []
    with _mending_folder(warehouse) as mending:
        for file in found:
            entry = known.get((file.source.feed, file.path))
            if entry is not None and entry.status != "removed" and ledger.is_unchanged(entry, file):
                report = _unchanged(report, entry)
                continue
            looked_at = _look_at(
                warehouse,
                file,
                entry,
                file_id=file_ids[(file.source.feed, file.path)],
                landing=landing,
                mending=mending,
                run_id=run_id,
            )
            if isinstance(looked_at, str):
                report = replace(report, refused=(*report.refused, (file.path, looked_at)))
            elif isinstance(looked_at, ledger.Entry):
                report = _unchanged(report, looked_at)
            else:
                candidates.append(looked_at)

        done = 0
        for batch in _batches(candidates):
            report = _load(warehouse, batch, report, mending=mending, run_id=run_id, forgotten_among=forgotten_among)
            done += len(batch)
            if on_progress is not None:
                feed = batch[0].file.source.feed
                on_progress(f"raw {feed}: {done} of {len(candidates)} files, {report.rows_in:,} rows")
    return report


def _settled(
    found: Sequence[LandingFile], settle_seconds: float
) -> tuple[tuple[LandingFile, ...], tuple[LandingFile, ...]]:
    """The files that stay as they are while one waits, and those that change: they are still being written."""
    now = time.time()
    young = {file.absolute for file in found if 0 <= now - _touched_at(file.absolute) < YOUNG_SECONDS}
    if not young or settle_seconds <= 0:
        return tuple(found), ()
    before = {path: _touched_at(path) for path in young}
    time.sleep(settle_seconds)
    moving = {path for path in young if _touched_at(path) != before[path]}
    return (
        tuple(file for file in found if file.absolute not in moving),
        tuple(file for file in found if file.absolute in moving),
    )


def _touched_at(path: Path) -> float:
    """When the file was written last, as the kernel keeps it: copying with preserved times does not set it back."""
    try:
        return path.stat().st_ctime
    except FileNotFoundError:
        return -1.0


@contextmanager
def _mending_folder(warehouse: Warehouse) -> Iterator[Path]:
    """A folder beside the warehouse for mended copies; what a process that died left there is cleared away."""
    ((file,),) = warehouse.rows("SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
    parent = Path(file).parent
    for left_behind in parent.glob(f"{MENDING}*"):
        shutil.rmtree(left_behind)
    with tempfile.TemporaryDirectory(prefix=MENDING, dir=parent) as folder:
        yield Path(folder)


def _file_ids(
    warehouse: Warehouse, found: Sequence[LandingFile], known: dict[tuple[str, str], ledger.Entry]
) -> dict[tuple[str, str], int]:
    """Numbers of all files found, new ones included; files are known by feed and path."""
    given = assign(
        warehouse, [(file.source.feed, file.path) for file in found if (file.source.feed, file.path) not in known]
    )
    return {key: entry.file_id for key, entry in ledger.entries(warehouse).items()} | given


def _unchanged(report: LoadReport, entry: ledger.Entry) -> LoadReport:
    if entry.status == "refused":
        return replace(report, refused=(*report.refused, (entry.path, entry.error or "")))
    return replace(report, files_unchanged=report.files_unchanged + 1)


def _look_at(
    warehouse: Warehouse,
    file: LandingFile,
    known: ledger.Entry | None,
    *,
    file_id: int,
    landing: Path,
    mending: Path,
    run_id: str,
) -> Candidate | str | ledger.Entry:
    """What to load; the error if the file is refused; its entry if its contents are those that the ledger knows."""
    sha256 = ""
    mended = None
    try:
        refuse_outside(file, landing)
        compression, layout = compression_and_layout(file)
        seen = fingerprint(file, compression)
        sha256 = seen.sha256
        if known is not None and known.sha256 == sha256 and known.status != "refused":
            ledger.touch(warehouse, file, known)
            return known
        encoding = file.source.files.csv.encoding
        if seen.has_nul and encoding == "latin-1":
            raise FileRefusedError(
                f"{file.path}: the file holds NUL bytes; it is damaged or in another encoding (see csv.encoding)"
            )
        if is_irregular(seen, file):
            mended = mended_copy(file, compression, mending, everywhere=False)
            compression, layout = compression_and_layout(mended.file)
            seen = replace(fingerprint(mended.file, compression), sha256=sha256)
    except FileRefusedError as error:
        return _refuse(warehouse, file, known, file_id=file_id, sha256=sha256, run_id=run_id, error=str(error))
    except FileNotFoundError:
        error_text = f"{file.path}: went away while it was looked at; the next look takes what is there then"
        return _refuse(warehouse, file, known, file_id=file_id, sha256="", run_id=run_id, error=error_text)
    except PermissionError as error:
        error_text = f"{file.path}: may not be read ({error.strerror}); give the pipeline's user the right to read it"
        return _refuse(warehouse, file, known, file_id=file_id, sha256="", run_id=run_id, error=error_text)
    return Candidate(file, file_id, known, compression, layout, seen, mended)


def _refuse(
    warehouse: Warehouse,
    file: LandingFile,
    known: ledger.Entry | None,
    *,
    file_id: int,
    sha256: str,
    run_id: str,
    error: str,
) -> str:
    ledger.refuse(warehouse, file, file_id=file_id, known=known, sha256=sha256, run_id=run_id, error=error)
    return error


def _batches(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Files of one source and one layout together, up to a size that one transaction carries well.

    Files with a column that hides which file a row is of are loaded one by one.
    """
    groups: dict[tuple[str, int, Layout], list[Candidate]] = {}
    for candidate in candidates:
        source = candidate.file.source
        groups.setdefault((source.feed, source.index, candidate.layout), []).append(candidate)
    for (_, _, layout), group in groups.items():
        most_files = 1 if FILE_INDEX in map(str.casefold, layout.columns) else BATCH_FILES
        batch: list[Candidate] = []
        for candidate in group:
            size = sum(other.file.bytes for other in batch)
            if batch and (len(batch) >= most_files or size + candidate.file.bytes > BATCH_BYTES):
                yield batch
                batch = []
            batch.append(candidate)
        yield batch


def _load(
    warehouse: Warehouse,
    batch: Sequence[Candidate],
    report: LoadReport,
    *,
    mending: Path,
    run_id: str,
    forgotten_among: ForgottenAmong | None,
) -> LoadReport:
    """Load a batch; if it fails as a whole, each half of it alone, and so on, so that only the culprit is refused."""
    try:
        rows_in, unreadable = load_together(warehouse, batch, run_id=run_id, forgotten_among=forgotten_among)
    except PeopleToForgetError as error:
        for candidate, rows, starts in error.found:
            remove_rows(candidate.file, rows, starts=starts)
        again = [_looked_at_again(candidate, mending) for candidate in batch]
        return _load(warehouse, again, report, mending=mending, run_id=run_id, forgotten_among=forgotten_among)
    except (CannotReadError, ChangedWhileReadError, OpenQuotesError) as error:
        if len(batch) > 1:
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                report = _load(warehouse, half, report, mending=mending, run_id=run_id, forgotten_among=forgotten_among)
            return report
        (candidate,) = batch
        if isinstance(error, ChangedWhileReadError):
            return replace(report, deferred=(*report.deferred, candidate.file.path))
        other = _read_otherwise(candidate, error, mending)
        if other is not None:
            return _load(warehouse, [other], report, mending=mending, run_id=run_id, forgotten_among=forgotten_among)
        if isinstance(error, OpenQuotesError):
            why = f"record {error.first_record}: a quote opens there and does not close, and swallows what follows"
        else:
            why = f"cannot be read: {_first_line(error)}"
        message = _refuse(
            warehouse,
            candidate.file,
            candidate.known,
            file_id=candidate.file_id,
            sha256=candidate.seen.sha256,
            run_id=run_id,
            error=f"{candidate.file.path}: {why}; mend the file and send it again",
        )
        return replace(report, refused=(*report.refused, (candidate.file.path, message)))
    return replace(
        report,
        files_loaded=report.files_loaded + len(batch),
        rows_in=report.rows_in + rows_in,
        rows_unreadable=report.rows_unreadable + unreadable,
    )


def _read_otherwise(candidate: Candidate, error: CannotReadError | OpenQuotesError, mending: Path) -> Candidate | None:
    """The candidate read from another copy, in which rows with open quotes are bad by themselves; None: no way left."""
    fileset, mended = candidate.file.source.files, candidate.mended
    if fileset.format != "csv" or fileset.csv.encoding != "utf-8" or fileset.csv.quote is None:
        return None
    if mended is None or not mended.everywhere:
        if mended is None and isinstance(error, CannotReadError):
            return None
        # offsets are those of this copy from here on
        mended = mended_copy(candidate.file, _compression(candidate), mending, everywhere=True)
    elif isinstance(error, CannotReadError) or mended.passes >= MOST_PASSES:
        return None
    else:
        mended = without_quotes(mended, error.offsets, quote=fileset.csv.quote)
    seen = replace(fingerprint(mended.file, "none"), sha256=candidate.seen.sha256)
    return replace(candidate, mended=mended, compression="none", seen=seen)


def _looked_at_again(candidate: Candidate, mending: Path) -> Candidate:
    """The candidate as its file is now, after rows were taken out of it."""
    file = as_it_is_now(candidate.file)
    compression, layout = compression_and_layout(file)
    seen = fingerprint(file, compression)
    if not is_irregular(seen, file):
        return replace(candidate, file=file, compression=compression, layout=layout, seen=seen, mended=None)
    mended = mended_copy(file, compression, mending, everywhere=False)
    compression, layout = compression_and_layout(mended.file)
    seen = replace(fingerprint(mended.file, compression), sha256=seen.sha256)
    return replace(candidate, file=file, compression=compression, layout=layout, seen=seen, mended=mended)


def _compression(candidate: Candidate) -> str:
    """How the file in landing is packed; `candidate.compression` is that of a mended copy, if there is one."""
    return candidate.compression if candidate.mended is None else compression_of(candidate.file)


def _forget_changed_dialects(warehouse: Warehouse, sources: Sequence[Source]) -> None:
    """Load a feed anew if the profile now says something else of how its files are written."""
    state = ledger.state(warehouse)
    for feed in sorted({source.feed for source in sources}):
        of_feed = [source for source in sources if source.feed == feed]
        wanted = fingerprint_of(
            *(
                (source.folder, FileSet(**source.files.model_dump(include=set(FileSet.model_fields))))
                for source in of_feed
            ),
            *(source.needed_columns for source in of_feed),
        )
        part = f"raw_{feed}"
        if state.get(part) == wanted:
            continue
        with warehouse.transaction():
            # neither size nor contents are those of any file, so that all are looked at again
            warehouse.run("UPDATE ingest_files SET bytes = -1, sha256 = '' WHERE feed = :feed", {"feed": feed})
            ledger.set_state(warehouse, part, wanted)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")
