"""The DuckDB warehouse: opening it (one process at a time, the others queue), transactions, writing contract tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.contracts import ALL_TABLES, Table, comment_statements, create_statement, literal
from ecom_pipeline.settings import Settings
from ecom_pipeline.warehouse.queue import queued
from ecom_pipeline.warehouse.row_changes import note_days, note_everything
from ecom_pipeline.warehouse.sql_files import bound_for_duckdb, parameters_of, sql_text

Parameters = Mapping[str, Any]

# One format for both generations of clients that we support; see docs/decisions.md.
STORAGE_VERSION = "v1.4.0"

ROWS_A_BATCH = 1_000_000  # of a result that is read in batches


class WarehouseError(RuntimeError):
    """The warehouse cannot be used; the message says why and what to do."""


class Warehouse:
    """One open connection to the warehouse, and the few ways in which steps use it."""

    makes_parts = True
    """Whether the SQL files can be run over some rows of the tables that they read; else a table is made as a whole."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._in_transaction = False
        self._nested_failure = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of `transaction()` is open."""
        return self._in_transaction

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Nested use joins the outer transaction.

        Raises:
            WarehouseError: at the end, if an error inside a nested transaction was caught on its way: its half of
                the work cannot be taken back alone, so everything is.
        """
        if self._in_transaction:
            try:
                yield
            except BaseException:
                self._nested_failure = True
                raise
            return
        self.connection.execute("BEGIN TRANSACTION")
        self._in_transaction = True
        self._nested_failure = False
        try:
            yield
            if self._nested_failure:
                raise WarehouseError("a step inside the transaction failed and was passed over; all of it is undone")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        else:
            self.connection.execute("COMMIT")  # one that fails has rolled back by itself
        finally:
            self._in_transaction = False

    def run(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run one statement written in the portable style (`:name` parameters); its result, if any, is drained."""
        self.connection.execute(bound_for_duckdb(sql), _used(sql, parameters)).fetchall()

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        return self.connection.execute(bound_for_duckdb(sql), _used(sql, parameters)).fetchall()

    def scalar(self, sql: str, parameters: Parameters | None = None) -> Any:
        """The one value of a one-row, one-column result."""
        (row,) = self.rows(sql, parameters)
        return row[0]

    def arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """The result as an Arrow table."""
        # not connection.sql(): with parameters it keeps a copy of the result and takes ten times as long
        return self.connection.execute(bound_for_duckdb(sql), _used(sql, parameters)).to_arrow_table()

    def arrow_encoded(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """The result as an Arrow table whose texts are dictionaries (int32 codes): half the memory where ids
        come back in many rows. It is read in batches, and never held as text."""
        reader = self.connection.execute(bound_for_duckdb(sql), _used(sql, parameters)).to_arrow_reader(ROWS_A_BATCH)
        batches = [_encoded(pa.Table.from_batches([batch])) for batch in reader]
        if not batches:
            return _encoded(reader.schema.empty_table())
        # one chunk with one dictionary a column: who reads it need not merge them again
        table = pa.concat_tables(batches).unify_dictionaries().combine_chunks()
        del batches
        pa.default_memory_pool().release_unused()  # else what the batches took stays with the process
        return table

    def has_table(self, name: str) -> bool:
        """Whether a table of that name is there."""
        return bool(
            self.scalar(
                "SELECT count(*) FROM duckdb_tables() WHERE table_name = :name AND database_name = current_database()",
                {"name": name},
            )
        )

    def create_contract_tables(self) -> None:
        """Create what the contracts declare and is not there yet, with comments.

        A table that an older version made with other columns is given those of the contract: its rows stay, new
        columns are null, columns that the contract has no more are gone.

        Raises:
            WarehouseError: if its values cannot be converted to the contract's types.
        """
        found: dict[str, dict[str, str]] = {}
        for name, column, kind in self.rows(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = 'main' ORDER BY table_name, column_index"
        ):
            found.setdefault(name, {})[column] = kind
        with self.transaction():
            for declared in ALL_TABLES.values():
                wanted = {column.name: column.type for column in declared.columns}
                if declared.name not in found:
                    self._create(declared)
                elif list(found[declared.name].items()) != list(wanted.items()):
                    self._convert(declared, found[declared.name])

    def _convert(self, declared: Table, found: Mapping[str, str]) -> None:
        shared = [column for column in declared.columns if column.name in found]
        names = ", ".join(column.name for column in shared)
        casts = ", ".join(f"CAST({column.name} AS {column.type}) AS {column.name}" for column in shared)
        try:
            self.run(f"CREATE TABLE converted_rows AS SELECT {casts or 'NULL AS none'} FROM {declared.name}")
        except duckdb.ConversionException as error:
            raise WarehouseError(
                f"table {declared.name}: made by an older version, and its values do not fit the contract now "
                f"({str(error).splitlines()[0]}). Drop the table, or move the warehouse away and run the night again: "
                "it is rebuilt from landing."
            ) from error
        self._create(declared, replace=True)
        if shared:
            self.run(f"INSERT INTO {declared.name} ({names}) SELECT {names} FROM converted_rows")
        self.run("DROP TABLE converted_rows")

    def rebuild(self, declared: Table, parameters: Parameters | None = None, *, sql: str | None = None) -> int:
        """Replace all rows of the table by the result of its SQL file (or of `sql`); returns the rows written."""
        query = sql if sql is not None else sql_text(declared.layer, declared.name)
        with self.transaction():
            self._create(declared, replace=True)
            note_everything(self, declared)
            return self._insert(declared, query, parameters)

    def replace_night(
        self, declared: Table, as_of: date, parameters: Parameters | None = None, *, sql: str | None = None
    ) -> int:
        """Replace the rows of one night by the result of its SQL file (or of `sql`); returns the rows written.

        Raises:
            WarehouseError: if the result has rows of another night; nothing is replaced then.
        """
        query = sql if sql is not None else sql_text(declared.layer, declared.name)
        with self.transaction():
            self.run(f"DELETE FROM {declared.name} WHERE as_of = :as_of", {"as_of": as_of})
            written = self._insert(declared, query, {"as_of": as_of, **(parameters or {})})
            there = self.scalar(f"SELECT count(*) FROM {declared.name} WHERE as_of = :as_of", {"as_of": as_of})
            if there != written:
                raise WarehouseError(
                    f"table {declared.name}: {written - there} of {written} rows for the night {as_of} have another "
                    "as_of; nothing was replaced"
                )
            note_days(self, declared, [as_of])
            return written

    def insert(self, declared: Table, parameters: Parameters | None = None, *, sql: str | None = None) -> int:
        """Add the result of the table's SQL file (or of `sql`) to its rows; returns the rows written.

        Who calls it tells `row_changes` which they are.
        """
        return self._insert(declared, sql if sql is not None else sql_text(declared.layer, declared.name), parameters)

    def replace_night_from_arrow(self, declared: Table, as_of: date, rows: pa.Table) -> int:
        """Replace the rows of one night by an Arrow table with the contract's columns; returns the rows written."""
        with self._incoming(declared, rows) as query:
            return self.replace_night(declared, as_of, sql=query)

    def rebuild_from_arrow(self, declared: Table, rows: pa.Table) -> int:
        """Replace all rows of the table by an Arrow table with the contract's columns; returns the rows written."""
        with self._incoming(declared, rows) as query:
            return self.rebuild(declared, sql=query)

    def append_from_arrow(self, declared: Table, rows: pa.Table) -> int:
        """Add an Arrow table with the contract's columns; returns the rows written."""
        with self.transaction(), self._incoming(declared, rows) as query:
            if declared.by_night:
                note_days(self, declared, pc.unique(rows["as_of"]).to_pylist())
            return self._insert(declared, query, None)

    @contextmanager
    def _incoming(self, declared: Table, rows: pa.Table) -> Iterator[str]:
        """A query over the Arrow table, while it is registered.

        Raises:
            WarehouseError: if the table lacks columns of the contract or has others.
        """
        missing = sorted(set(declared.column_names) - set(rows.column_names))
        others = sorted(set(rows.column_names) - set(declared.column_names))
        if missing or others:
            raise WarehouseError(f"table {declared.name}: rows to write lack the columns {missing}; unknown: {others}")
        self.connection.register("incoming_rows", rows)
        try:
            yield "SELECT * FROM incoming_rows"
        finally:
            self.connection.unregister("incoming_rows")

    def _create(self, declared: Table, *, replace: bool = False) -> None:
        self.connection.execute(create_statement(declared, replace=replace))
        for statement in comment_statements(declared):
            self.connection.execute(statement)

    def _insert(self, declared: Table, query: str, parameters: Parameters | None) -> int:
        columns = ", ".join(declared.column_names)
        return int(
            self.scalar(
                f"INSERT INTO {declared.name} ({columns}) SELECT {columns} FROM ({query}\n) AS source", parameters
            )
        )


def _encoded(table: pa.Table) -> pa.Table:
    """The table with its columns of text as dictionaries."""
    columns = [
        column.dictionary_encode() if pa.types.is_string(column.type) else column for column in table.itercolumns()
    ]
    return pa.table(columns, names=table.column_names)


def _used(sql: str, parameters: Parameters | None) -> dict[str, Any]:
    """The parameters that `sql` names; DuckDB refuses any that it does not."""
    needed = parameters_of(sql)
    given = parameters or {}
    missing = needed - given.keys()
    if missing:
        raise KeyError(f"the SQL needs the parameters {sorted(missing)}: {sql.strip()[:80]}…")
    return {name: given[name] for name in needed}


@contextmanager
def open_warehouse(
    file: Path, settings: Settings, *, on_wait: Callable[[float], None] | None = None
) -> Iterator[Warehouse]:
    """Open the warehouse for this process alone; while another process has it, wait in the queue.

    `on_wait(seconds)` is called while waiting, so that the caller can say so.

    Raises:
        WarehouseError: if the file is not a DuckDB database that this version can read.
    """
    with queued(file, on_wait=on_wait):
        connection = _connect(file, settings)
        try:
            with _warehouse_on(connection, settings) as warehouse:
                warehouse.create_contract_tables()
                yield warehouse
        finally:
            connection.close()


@contextmanager
def _warehouse_on(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[Warehouse]:
    if settings.engine == "duckdb":
        yield Warehouse(connection)
        return
    from ecom_pipeline.warehouse.spark_engine import spark_warehouse

    with spark_warehouse(connection, settings) as warehouse:
        yield warehouse


def _connect(file: Path, settings: Settings) -> duckdb.DuckDBPyConnection:
    options: dict[str, Any] = {
        "temp_directory": str(file.parent / "spill"),
        # nothing here needs an extension that the package does not hold, and none may come from the network
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }
    if settings.threads is not None:
        options["threads"] = settings.threads
    if settings.memory_limit is not None:
        options["memory_limit"] = settings.memory_limit
    connection = duckdb.connect(config=options)
    try:
        connection.execute(f"ATTACH {literal(str(file))} AS warehouse (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE warehouse")
        connection.execute("SET TimeZone = 'UTC'")
    except duckdb.Error as error:
        connection.close()
        raise WarehouseError(
            f"{file}: cannot be opened as a DuckDB database ({str(error).splitlines()[0]}). If the file is damaged, "
            "move it away and run the night again: the warehouse is rebuilt from landing."
        ) from error
    return connection
