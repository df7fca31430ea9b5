"""Taking an id out of a PostgreSQL database that keeps Dagster's runs, events and schedules."""

import re
from typing import TYPE_CHECKING

from ecom_pipeline.privacy.traces import ERASED, word_of

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Table

BATCH = 1_000


def erase_from_database(url: str, user_id: str) -> int:
    """Overwrite the id with ERASED in all text of the database's tables, its own forms and JSON's; the places.

    Tables that held it are written anew, so that their files hold it no longer. The server's write-ahead log and its
    backups are its operator's.
    """
    from sqlalchemy import MetaData, create_engine, text

    word = word_of(user_id)
    engine = create_engine(url)
    try:
        known = MetaData()
        known.reflect(engine)
        places = {}
        for table in known.sorted_tables:
            with engine.begin() as connection:
                places[table.name] = sum(_erase_from_column(connection, table, one, word) for one in table.columns)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in known.sorted_tables:
                if places[table.name]:
                    connection.execute(text(f"VACUUM FULL {engine.dialect.identifier_preparer.format_table(table)}"))
    finally:
        engine.dispose()
    return sum(places.values())


def _erase_from_column(connection: "Connection", table: "Table", column: "Column", word: re.Pattern[bytes]) -> int:
    from sqlalchemy import LargeBinary, String, literal_column, select

    if not isinstance(column.type, String | LargeBinary):
        return 0
    row_id: ColumnElement[str] = literal_column("CAST(ctid AS text)")
    changed: list[tuple[str, str | bytes]] = []
    places = 0
    wanted = select(row_id, column).select_from(table).where(column.is_not(None)).execution_options(yield_per=BATCH)
    for row, value in connection.execute(wanted):
        erased, count = word.subn(ERASED.encode(), value.encode() if isinstance(value, str) else bytes(value))
        if count:
            changed.append((row, erased.decode() if isinstance(value, str) else erased))
            places += count
    for row, value in changed:
        connection.execute(table.update().where(row_id == row).values({column.name: value}))
    return places
