"""A small shop home for tests of the ingest: write files to landing, load them, look at the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecom_pipeline.documents import parse_document
from ecom_pipeline.quality.ledger import LOST_ROWS
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import CoreReport, LoadReport, SourceProfile, load_landing, update_core
from ecom_pipeline.warehouse import Warehouse, open_warehouse

ORDERS = """
name: test_shop
shop: {time_zone: Europe/Berlin, country: DE, currency: EUR}
feeds:
  orders:
    columns: {order_id: order, user_id: customer, item_id: item, quantity: qty, unit_price: price}
    time: {value: at, formats: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]}
    key: exact
    rules:
      - {name: cheap, must_hold: unit_price < 1000, reason: dearer than anything in this shop}
"""
HEADER = "order,customer,item,qty,price,at\n"


def profile_of(text: str) -> SourceProfile:
    """A profile from YAML text."""
    return parse_document(text, SourceProfile, name="test.yaml")


class Shop:
    """An open warehouse, a landing folder and a profile."""

    def __init__(self, root: Path, warehouse: Warehouse, profile: SourceProfile) -> None:
        self.landing = root / "landing"
        self.landing.mkdir(parents=True, exist_ok=True)
        self.warehouse = warehouse
        self.profile = profile
        self.loads = 0

    def write(self, path: str, contents: str | bytes) -> Path:
        """Put a file into landing."""
        file = self.landing / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return file

    def load(self) -> LoadReport:
        """Load landing only."""
        self.loads += 1
        return load_landing(self.warehouse, landing=self.landing, profile=self.profile, run_id=f"load{self.loads}")

    def ingest(self) -> tuple[LoadReport, CoreReport]:
        """Load landing and bring it to core."""
        loaded = self.load()
        return loaded, update_core(self.warehouse, profile=self.profile, run_id=f"load{self.loads}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.warehouse.connection.execute(sql).fetchall()

    def core(self, name: str = "core_order_lines") -> list[tuple[Any, ...]]:
        """All rows of a core table with the file's path in place of its number, sorted."""
        columns = [row[0] for row in self.rows(f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{name}'")]
        chosen = ", ".join(f"core.{column}" for column in columns if column != "file_id")
        return sorted(
            self.rows(f"SELECT files.path, {chosen} FROM {name} AS core JOIN ingest_files AS files USING (file_id)"),
            key=repr,
        )

    def ledger(self) -> dict[str, dict[str, Any]]:
        """The ledger by path."""
        result = self.warehouse.connection.execute("SELECT * FROM ingest_files")
        names = [column[0] for column in result.description or ()]
        return {row["path"]: row for row in (dict(zip(names, values, strict=True)) for values in result.fetchall())}

    def quarantine(self, feed: str = "orders") -> list[tuple[Any, ...]]:
        """Path, line and rule of the quarantined rows, sorted."""
        return sorted(
            self.rows(
                f"SELECT files.path, line, rule FROM quarantine_{feed} JOIN ingest_files AS files USING (file_id)"
            )
        )

    def is_conserved(self) -> bool:
        """Whether rows in = core + quarantine + duplicates for every file, counted in the tables themselves."""
        for feed, core in (("orders", "core_order_lines"), ("browse", "core_events"), ("products", "core_products")):
            if not self.warehouse.has_table(f"raw_{feed}"):
                continue
            more = " WHERE feed = 'browse'" if feed == "browse" else ""
            unequal = self.rows(
                f"""
                SELECT path FROM ingest_files AS files
                LEFT JOIN (SELECT file_id, count(*) AS n FROM {core}{more} GROUP BY 1) AS core USING (file_id)
                LEFT JOIN (SELECT file_id, count(*) AS n FROM quarantine_{feed} GROUP BY 1) AS bad USING (file_id)
                LEFT JOIN (SELECT file_id, count(*) AS n FROM duplicates_{feed} GROUP BY 1) AS copies USING (file_id)
                LEFT JOIN (SELECT _file_id AS file_id, count(*) AS n FROM raw_{feed} GROUP BY 1) AS raw USING (file_id)
                LEFT JOIN (SELECT file_id, count(*) AS n FROM quarantine_{feed} WHERE rule = 'unreadable' GROUP BY 1)
                    AS unread USING (file_id)
                WHERE feed = '{feed}' AND (
                  rows_in <> coalesce(raw.n, 0) + coalesce(unread.n, 0)
                  OR rows_in <> coalesce(core.n, 0) + coalesce(bad.n, 0) + coalesce(copies.n, 0)
                  OR rows_core <> coalesce(core.n, 0) OR rows_quarantined <> coalesce(bad.n, 0)
                  OR rows_duplicate <> coalesce(copies.n, 0))
                """
            )
            if unequal:
                return False
        # and as a night asks it
        return not self.rows(LOST_ROWS)


@contextmanager
def open_shop(root: Path, profile: str | SourceProfile = ORDERS) -> Iterator[Shop]:
    """A shop below `root`; opened again, it is the same shop."""
    read = profile if isinstance(profile, SourceProfile) else profile_of(profile)
    with open_warehouse(root / "warehouse" / "w.duckdb", Settings(profile=read.name, threads=2)) as warehouse:
        yield Shop(root, warehouse, read)
