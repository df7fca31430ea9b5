"""The doctor: looks through a shop home for damage, and says of each finding what to do.

It changes nothing. The warehouse is looked at only while no run has it.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from ecom_pipeline.contracts import PUBLISHED_TABLES
from ecom_pipeline.documents import DocumentError
from ecom_pipeline.orchestration.instance import instance_of
from ecom_pipeline.quality.ledger import LOST_ROWS
from ecom_pipeline.registry.folders import INCOMING, checksums
from ecom_pipeline.registry.manifest import MANIFEST_FILE, MODEL_NAMES, Manifest
from ecom_pipeline.settings import Home
from ecom_pipeline.sources.profile import read_profile
from ecom_pipeline.warehouse.queue import held_back

Level = Literal["ok", "note", "damaged"]
Part = Literal["settings", "warehouse", "ledger", "published", "models", "dagster", "disk"]

LEAST_FREE_BYTES = 1 << 30
FREE_FACTOR = 3
"""A night needs room for a copy of the published file, a checkpoint, and what does not fit into memory."""
DATA_STAY = "The files in landing and the kept models stay as they are."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do where it is not well."""

    part: Part
    level: Level
    what: str
    advice: str = ""


def examine(home: Home) -> tuple[Finding, ...]:
    """Look at settings, warehouse, ledger, published file, models, Dagster's files and the disk, in this order."""
    return tuple(
        finding for look in (_settings, _warehouse, _published, _models, _dagster, _disk) for finding in look(home)
    )


def ledger_disagreements(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Files whose rows are not where the ledger says, in words; the connection's current database is the warehouse."""
    lost = connection.execute(LOST_ROWS).fetchall()
    found = [f"{path}: {rows_in:,} rows in, {there:,} found" for path, _, rows_in, there in lost]
    counted = connection.execute(
        "SELECT path FROM ingest_files WHERE in_core AND rows_in <> rows_core + rows_quarantined + rows_duplicate "
        "ORDER BY path"
    ).fetchall()
    found += [f"{path}: the counts of the ledger do not add up" for (path,) in counted]
    feeds = connection.execute(
        "SELECT DISTINCT feed FROM ingest_files WHERE feed IN (SELECT substr(table_name, 5) FROM duckdb_tables() "
        "WHERE table_name LIKE 'raw_%' AND database_name = current_database())"
    ).fetchall()
    for (feed,) in feeds:
        quarantine = "quarantine_lookups" if feed.startswith("lookup_") else f"quarantine_{feed}"
        rows = connection.execute(
            f"""
            SELECT files.path FROM ingest_files AS files
            LEFT JOIN (SELECT _file_id AS file_id, count(*) AS n FROM raw_{feed} GROUP BY ALL) AS here USING (file_id)
            LEFT JOIN (SELECT file_id, count(*) AS n FROM {quarantine} WHERE rule = 'unreadable' GROUP BY ALL) AS bad
                USING (file_id)
            WHERE files.feed = ? AND files.rows_in <> coalesce(here.n, 0) + coalesce(bad.n, 0) ORDER BY files.path
            """,
            [feed],
        ).fetchall()
        found += [f"{path}: the raw rows are not as many as the ledger says" for (path,) in rows]
    return found


def read_through(connection: duckdb.DuckDBPyConnection) -> int:
    """Read every value of every table of the current database, so that each block's checksum is tried; the tables read.

    Raises:
        duckdb.Error: at the first damaged block.
    """
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() ORDER BY ALL"
    ).fetchall()
    for schema, name in tables:
        connection.execute(f'SELECT bit_xor(hash(rows_read)) FROM "{schema}"."{name}" AS rows_read').fetchall()
    return len(tables)


def _settings(home: Home) -> Iterator[Finding]:
    try:
        settings = home.settings()
        profile = read_profile(settings.profile, base=home.root)
    except DocumentError as error:
        yield Finding("settings", "damaged", str(error), "Mend the file as it says; nothing runs before.")
        return
    yield Finding("settings", "ok", f"settings and the profile {profile.name} are read")
    if not home.landing.is_dir():
        yield Finding("settings", "damaged", f"{home.landing}: there is no landing folder", "Make it, or restore it.")


def _warehouse(home: Home) -> Iterator[Finding]:
    file = home.warehouse_file
    if not file.exists():
        yield Finding("warehouse", "note", f"{file}: not there yet; the first night makes it")
        return
    with held_back(home.warehouse_file) as is_free:
        if not is_free:
            yield Finding("warehouse", "note", f"{file}: a run has it; ask again when it has ended")
            return
        try:
            with duckdb.connect() as connection:
                connection.execute(f"ATTACH '{str(file).replace(chr(39), chr(39) * 2)}' AS warehouse (READ_ONLY)")
                connection.execute("USE warehouse")
                tables = read_through(connection)
                yield Finding("warehouse", "ok", f"every block of its {tables} tables can be read")
                has_ledger = connection.execute(
                    "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'ingest_files' "
                    "AND database_name = current_database()"
                ).fetchall()[0][0]
                wrong = ledger_disagreements(connection) if has_ledger else []
        except duckdb.Error as error:
            yield Finding("warehouse", "damaged", f"{file}: {_first_line(error)}", rebuild_advice(home))
            return
    if wrong:
        shown = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        yield Finding("ledger", "damaged", shown, rebuild_advice(home))
    else:
        yield Finding("ledger", "ok", "the rows of every file are where the ledger says")


def rebuild_advice(home: Home) -> str:
    """How to get a warehouse back."""
    return (
        f"Put the last backup back (ecom-pipeline restore), or rebuild: ecom-pipeline rebuild --home {home.root} moves "
        "the warehouse aside and fills a new one from landing and from the nights of the published file. " + DATA_STAY
    )


def _published(home: Home) -> Iterator[Finding]:
    file = home.published_file
    if not file.exists():
        yield Finding("published", "note", f"{file}: no night was published yet")
        return
    try:
        with duckdb.connect(str(file), read_only=True) as connection:
            read_through(connection)
            there = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            about = connection.execute("SELECT as_of FROM about").fetchall() if "about" in there else []
    except duckdb.Error as error:
        yield Finding(
            "published",
            "damaged",
            f"{file}: {_first_line(error)}",
            "Remove it and run the last night again: it publishes a whole file from the warehouse.",
        )
        return
    missing = sorted(PUBLISHED_TABLES.keys() - there)
    if missing or len(about) != 1:
        what = f"{file}: without {', '.join(missing) or 'its row in about'}"
        yield Finding("published", "damaged", what, "Run the last night again: it publishes a whole file.")
        return
    yield Finding("published", "ok", f"the file of the night of {about[0][0]} is whole")


def _models(home: Home) -> Iterator[Finding]:
    whole = 0
    for model in MODEL_NAMES:
        folder = home.models / model
        for version in sorted(folder.iterdir()) if folder.is_dir() else ():
            if version.name.startswith(INCOMING):
                yield Finding("models", "note", f"{version}: left by a training that died; the next one clears it away")
                continue
            wrong = damaged_files(version)
            if wrong:
                yield Finding(
                    "models",
                    "damaged",
                    f"{model} {version.name}: {', '.join(wrong)} missing or damaged",
                    f"Restore {version} from a backup, or go back to the version before it: ecom-pipeline models "
                    f"rollback {model}. Where there is none: ecom-pipeline models reject {model} {version.name}; the "
                    "baseline stands in until the next training.",
                )
            else:
                whole += 1
    database = home.models / "mlflow.db"
    trouble = _sqlite_trouble(database)
    if trouble:
        yield Finding(
            "models", "damaged", f"{database}: {trouble}", "Restore it from a backup, with models/ as a whole."
        )
    else:
        yield Finding("models", "ok", f"{whole} model versions are whole")


def damaged_files(version: Path) -> list[str]:
    """Files of a version folder that are missing or are not what its manifest says."""
    try:
        manifest = Manifest.model_validate_json((version / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [MANIFEST_FILE]
    actual = checksums(version)
    return [name for name, digest in manifest.files.items() if actual.get(name) != digest]


def _dagster(home: Home) -> Iterator[Finding]:
    databases = sorted(home.dagster_home.rglob("*.db"))
    for database in databases:
        trouble = _sqlite_trouble(database)
        if trouble:
            yield Finding(
                "dagster",
                "damaged",
                f"{database}: {trouble}",
                f"Move {home.dagster_home} aside except dagster.yaml: the history of runs is lost, results are not.",
            )
            return
    try:
        with instance_of(home) as instance:
            runs = instance.get_runs_count()
    except Exception as error:  # each storage raises its own; whatever it is, it is the finding
        yield Finding(
            "dagster",
            "damaged",
            f"the history of runs cannot be read: {type(error).__name__}: {str(error).strip()}".splitlines()[0],
            f"See to the database that {home.dagster_home / 'dagster.yaml'} names; no night runs without it.",
        )
        return
    yield Finding("dagster", "ok", f"{len(databases)} databases of the home are whole; {runs:,} runs are known")


def _sqlite_trouble(file: Path) -> str | None:
    if not file.exists():
        return None
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
        try:
            ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if verdict == "ok" else str(verdict).splitlines()[-1]


def _disk(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(home.root).free
    sizes = [file.stat().st_size for file in (home.published_file, home.warehouse_file) if file.exists()]
    wanted = max(LEAST_FREE_BYTES, FREE_FACTOR * max(sizes, default=0))
    what = f"{free / 2**30:.1f} GiB free, {wanted / 2**30:.1f} GiB wanted"
    if free < wanted:
        yield Finding("disk", "note", what, "Make room; a night that runs out of disk fails and publishes nothing.")
    else:
        yield Finding("disk", "ok", what)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
