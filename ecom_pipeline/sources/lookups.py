"""Lookups: files whose rows complete the rows of feeds, such as order headers beside order lines.

Of several rows with one key, the last by path and line holds: a later export corrects an earlier one.
"""

from ecom_pipeline.sources import ledger
from ecom_pipeline.sources.files import sources_of
from ecom_pipeline.sources.loading import UNREADABLE
from ecom_pipeline.sources.profile import FEEDS, Lookup, SourceProfile, lookup_feed
from ecom_pipeline.sources.staging import raw_rows, raw_text, tried
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.fingerprint import fingerprint_of

MISSING_KEY = "missing_key"
LOOKUP_COLUMNS = "_lookup_key VARCHAR, _lookup_fields STRUCT({})"
_TEMPORARY = ("lookup_rows", "changed_keys")


def update_lookups(warehouse: Warehouse, profile: SourceProfile, *, run_id: str) -> None:
    """Bring new rows of lookups into effect; files that hold rows with a changed key are judged anew."""
    for source in sources_of(profile):
        if not isinstance(source.files, Lookup):
            continue
        fields = ", ".join(f'"{column}" VARCHAR' for column in source.files.columns)
        values = ", ".join(f'"{column}" := {tried(sql, text=True)}' for column, sql in source.files.columns.items())
        select = (
            f"SELECT raw._file_id AS file_id, raw._line AS line, {tried(source.files.key, text=True)} AS _lookup_key, "
            f"struct_pack({values}) AS _lookup_fields "
            f"FROM {raw_rows(source.files, source.feed, source.needed_columns, rows='TRUE')}"
        )
        definition = fingerprint_of(select)
        is_new = ledger.state(warehouse).get(source.feed) != definition
        waiting = warehouse.scalar(
            "SELECT count(*) FROM ingest_files WHERE feed = :feed AND NOT in_core", {"feed": source.feed}
        )
        if not waiting and not is_new:
            continue
        try:
            with warehouse.transaction():
                if is_new:
                    _execute(warehouse, f"DROP TABLE IF EXISTS {source.feed}")
                    _execute(warehouse, f"CREATE TABLE {source.feed} ({LOOKUP_COLUMNS.format(fields)})")
                _replace(warehouse, source.feed, source.files, select, run_id=run_id)
                _mark_files_of_changed_keys(warehouse, profile, source.feed)
                ledger.set_state(warehouse, source.feed, definition)
        finally:
            for name in _TEMPORARY:
                _execute(warehouse, f"DROP TABLE IF EXISTS temp.{name}")


def _replace(warehouse: Warehouse, feed: str, lookup: Lookup, select: str, *, run_id: str) -> None:
    _execute(
        warehouse,
        "CREATE OR REPLACE TEMP TABLE lookup_rows AS SELECT found.*, row_number() OVER "
        "(PARTITION BY _lookup_key ORDER BY files.path DESC, found.line DESC) AS copy "
        f"FROM (\n{select}\n) AS found JOIN ingest_files AS files USING (file_id)",
    )
    kept = "SELECT _lookup_key, _lookup_fields FROM lookup_rows WHERE copy = 1 AND _lookup_key IS NOT NULL"
    former = f"SELECT _lookup_key, _lookup_fields FROM {feed}"
    _execute(
        warehouse,
        "CREATE OR REPLACE TEMP TABLE changed_keys AS SELECT DISTINCT _lookup_key FROM "
        f"((({former}) EXCEPT ({kept})) UNION ALL (({kept}) EXCEPT ({former})))",
    )
    _execute(warehouse, f"DELETE FROM {feed}")
    _execute(warehouse, f"INSERT INTO {feed} {kept}")
    of_feed = f"SELECT file_id FROM ingest_files WHERE feed = '{feed}'"
    _execute(
        warehouse,
        f"DELETE FROM quarantine_lookups WHERE file_id IN ({of_feed}) AND rule <> '{UNREADABLE}'",
    )
    columns = [
        row[0]
        for row in warehouse.rows(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = :name "
            "AND database_name = current_database() AND column_name NOT IN ('_file_id', '_line')",
            {"name": f"raw_{feed}"},
        )
    ]
    warehouse.connection.execute(
        f"INSERT INTO quarantine_lookups SELECT found.file_id, found.line, '{MISSING_KEY}', 'the key is missing', "
        f"{raw_text(lookup, columns)}, ? FROM lookup_rows AS found "
        f"JOIN raw_{feed} AS raw ON raw._file_id = found.file_id AND raw._line = found.line "
        "WHERE found._lookup_key IS NULL",
        [run_id],
    ).fetchall()
    _execute(
        warehouse,
        f"""
        UPDATE ingest_files SET in_core = TRUE,
          rows_core = (SELECT count(*) FROM lookup_rows AS r
                       WHERE r.file_id = ingest_files.file_id AND copy = 1 AND _lookup_key IS NOT NULL),
          rows_duplicate = (SELECT count(*) FROM lookup_rows AS r
                            WHERE r.file_id = ingest_files.file_id AND copy > 1 AND _lookup_key IS NOT NULL),
          rows_quarantined = (SELECT count(*) FROM quarantine_lookups AS q WHERE q.file_id = ingest_files.file_id)
        WHERE feed = '{feed}'
        """,
    )


def _mark_files_of_changed_keys(warehouse: Warehouse, profile: SourceProfile, lookup: str) -> None:
    """Let `update_core` judge anew the files with rows whose lookup changed."""
    for feed in FEEDS:
        for reader in profile.readers(feed):
            for name, key in reader.joins.items():
                if lookup_feed(name) != lookup or not warehouse.has_table(f"raw_{feed}"):
                    continue
                rows = raw_rows(reader, feed, reader.needed_columns, rows="TRUE", joins=reader.joins, until=name)
                _execute(
                    warehouse,
                    "UPDATE ingest_files SET in_core = FALSE WHERE in_core AND rows_in > 0 AND file_id IN ("
                    f"SELECT DISTINCT raw._file_id FROM {rows} "
                    f"WHERE {tried(key, text=True)} IN (SELECT _lookup_key FROM changed_keys))",
                )


def _execute(warehouse: Warehouse, sql: str) -> None:
    warehouse.connection.execute(sql).fetchall()
