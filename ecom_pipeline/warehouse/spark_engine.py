"""The warehouse of a night whose feature tables and marts a Spark cluster computes.

DuckDB keeps everything that it keeps otherwise: the ledger, the models' results, what is published. A table that is
made by a file of `sql/features` or `sql/marts` is computed on the cluster from Parquet at the storage root, and its
rows are then loaded. What the cluster reads is what the warehouse holds: each table, by month where it is dated, is
exported again only if the stamp of its rows changed.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ecom_pipeline.contracts import ALL_TABLES, Table, literal
from ecom_pipeline.settings import Settings
from ecom_pipeline.spark.storage import Entry, Storage, storage_at
from ecom_pipeline.warehouse.duckdb_engine import Parameters, Warehouse, WarehouseError
from ecom_pipeline.warehouse.sql_files import parameters_of, sql_text, tables_named_in

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ON_THE_CLUSTER = frozenset({"features", "marts"})
CALENDAR = "shop_calendar"
"""A view of the warehouse's connection, no table; see steps/features.py."""
MONTH_OF: Mapping[str, str] = {"core_order_lines": "order_date", "core_events": "event_date"}
"""Tables that are exported month by month -> the column that says the month."""


class SparkWarehouse(Warehouse):
    """A warehouse that computes tables with an SQL file of their own on a cluster.

    Args:
        connection: The open warehouse.
        session: Of the cluster; entered when a table first needs it, and left by `close_session`.
        storage: Path or URL of the root below which tables lie as Parquet.

    Raises:
        StorageError: if that is no absolute path.
    """

    makes_parts = False

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        session: "AbstractContextManager[SparkSession]",
        storage: str,
    ) -> None:
        super().__init__(connection)
        self.storage: Storage = storage_at(storage, lambda: self.spark)
        self._session = session
        self._entered = ExitStack()
        self._spark: SparkSession | None = None

    @property
    def spark(self) -> "SparkSession":
        """The session, begun when it is first needed."""
        if self._spark is None:
            self._spark = self._entered.enter_context(self._session)
        return self._spark

    def close_session(self) -> None:
        """End the session, if it was begun."""
        self._entered.close()
        self._spark = None

    def rebuild(self, declared: Table, parameters: Parameters | None = None, *, sql: str | None = None) -> int:
        """As the base class does; without `sql`, the rows come from the cluster."""
        if sql is not None or declared.layer not in ON_THE_CLUSTER:
            return super().rebuild(declared, parameters, sql=sql)
        with self._computed(declared, parameters, is_whole=True) as rows:
            return super().rebuild(declared, sql=rows)

    def replace_night(
        self, declared: Table, as_of: date, parameters: Parameters | None = None, *, sql: str | None = None
    ) -> int:
        """As the base class does; without `sql`, the rows come from the cluster."""
        if sql is not None or declared.layer not in ON_THE_CLUSTER:
            return super().replace_night(declared, as_of, parameters, sql=sql)
        with self._computed(declared, {"as_of": as_of, **(parameters or {})}, is_whole=False) as rows:
            return super().replace_night(declared, as_of, sql=rows)

    def insert(self, declared: Table, parameters: Parameters | None = None, *, sql: str | None = None) -> int:
        """As the base class does; without `sql`, the rows come from the cluster."""
        if sql is not None:
            return super().insert(declared, parameters, sql=sql)
        with self._computed(declared, parameters, is_whole=False) as rows:
            return self._insert(declared, rows, None)

    @contextmanager
    def _computed(self, declared: Table, parameters: Parameters | None, *, is_whole: bool) -> Iterator[str]:
        """The result computed on the cluster, as a query for DuckDB over its Parquet; where it is the whole table
        its files are kept if the block succeeds."""
        from ecom_pipeline.spark.tables import computed

        self._offer_tables_of(sql_text(declared.layer, declared.name), but=declared.name)
        path = self.storage.new_path(declared.name)
        with computed(self.spark, declared, parameters) as rows:
            rows.write.parquet(path)
        with self.storage.files.reading(path) as here:
            yield _parquet(here)
        if not is_whole:
            self.storage.files.remove(path)
        else:  # nothing need be exported for its readers
            self.storage.put(declared.name, Entry({"": (self._stamps(declared.name)[""], path)}))

    def is_on_cluster(self, declared: Table) -> bool:
        """Whether the table lies at the storage root as a whole, or will when it is next read there."""
        return declared.layer in ("core", "features")

    def frame(self, sql: str, parameters: Parameters) -> "DataFrame":
        """The result of a portable query as a frame on the cluster."""
        self._offer_tables_of(sql)
        return self.spark.sql(sql, args={name: parameters[name] for name in parameters_of(sql)})

    @contextmanager
    def written(self, frame: "DataFrame", name: str) -> Iterator[Iterator[pa.Table]]:
        """The rows of a frame that the cluster has written down, a part of them at a time."""
        self.storage.remove(name)  # what a dead driver left
        path = self.storage.new_path(name)
        try:
            frame.write.parquet(path)
            with self.storage.files.reading(path) as here:
                yield (pq.read_table(part) for part in sorted(here.glob("*.parquet")))
        finally:
            self.storage.files.remove(path)

    def _offer_tables_of(self, sql: str, *, but: str | None = None) -> None:
        for name in tables_named_in(sql, {*ALL_TABLES, CALENDAR} - {but}):
            self._offer(name)

    def _offer(self, name: str) -> None:
        """Have the rows that the warehouse holds of a table under its name in the session."""
        month = MONTH_OF.get(name)
        stamps = self._stamps(name)
        entry = self.storage.entry(name)
        if {key: stamp for key, (stamp, _) in entry.partitions.items()} != stamps:
            partitions: dict[str, tuple[str, str]] = {}
            for key, stamp in stamps.items():
                there = entry.partitions.get(key)
                if there is not None and there[0] == stamp:
                    partitions[key] = there
                    continue
                path = self.storage.new_path(name)
                wanted = f" WHERE strftime({month}, '%Y-%m') = {literal(key)}" if month else ""
                with self.storage.files.writing(path) as here:
                    self.connection.execute(
                        f"COPY (SELECT * FROM {name}{wanted}) TO {literal(str(here))} "
                        "(FORMAT parquet, COMPRESSION zstd)"
                    ).fetchall()
                partitions[key] = (stamp, path)
            entry = Entry(partitions)
            self.storage.put(name, entry)
        self._view(name, entry)

    def _view(self, name: str, entry: Entry) -> None:
        from ecom_pipeline.spark.tables import schema_of

        reader = self.spark.read
        if name in ALL_TABLES:
            reader = reader.schema(schema_of(ALL_TABLES[name]))
        if entry.partitions:
            reader.parquet(*entry.paths).createOrReplaceTempView(name)
        else:
            self.spark.createDataFrame([], schema_of(ALL_TABLES[name])).createOrReplaceTempView(name)

    def _stamps(self, name: str) -> dict[str, str]:
        """By month (or '') the number of rows and the sum of their hashes: equal stamps, equal rows in any order."""
        columns = ", ".join(row[0] for row in self.connection.execute(f"DESCRIBE {name}").fetchall())
        month = MONTH_OF.get(name)
        key = f"strftime({month}, '%Y-%m')" if month else "''"
        found = self.connection.execute(
            f"SELECT {key} AS part, concat(count(*), ' ', sum(hash({columns}))) FROM {name} "
            + ("GROUP BY part" if month else "")
        ).fetchall()
        return dict(found)


def _parquet(path: Path) -> str:
    return f"SELECT * FROM read_parquet({literal(str(path / '*.parquet'))})"


@contextmanager
def spark_warehouse(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[SparkWarehouse]:
    """The warehouse with the cluster of the settings; its session ends with the block.

    Raises:
        StorageError: if the storage root is no absolute path.
    """
    from ecom_pipeline.spark.session import spark_session

    if settings.spark_master is None or settings.spark_storage is None:
        raise WarehouseError("engine: spark needs spark_master and spark_storage")
    session = spark_session(settings.spark_master, options=settings.spark_options)
    warehouse = SparkWarehouse(connection, session=session, storage=settings.spark_storage)
    try:
        yield warehouse
    finally:
        warehouse.close_session()
