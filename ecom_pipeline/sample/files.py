"""Files of the export: one a day and feed, or one a month for the archive; written as the days come.

What belongs here: formats, names and line numbers of files.
"""

import csv
import gzip
import io
from datetime import date
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ecom_pipeline.sample.plan import ShopPlan


class FeedFiles:
    """The files of one feed below `target/feed`."""

    def __init__(self, target: Path, *, feed: str, columns: tuple[str, ...], plan: ShopPlan) -> None:
        self.folder = target / feed
        self.feed = feed
        self.columns = columns
        self.plan = plan
        self.files = 0
        self.rows = 0
        self._period = ""
        self._rows_in_file = 0
        self._streams: list[IO[bytes] | gzip.GzipFile] = []
        self._parquet: pq.ParquetWriter | None = None

    @property
    def name(self) -> str:
        """Name of the open file."""
        return f"{self.feed}/{self.feed}_{self._period}.{self.plan.file_format}"

    def write(self, day: date, rows: pa.Table) -> int:
        """Add the rows of `day`; returns the line number of the first (of Parquet files, its row number)."""
        period = day.strftime("%Y-%m-%d")
        if self.plan.archive_until is not None and day <= self.plan.archive_until:
            period = day.strftime("%Y-%m")
        if period != self._period:
            self.close()
            self._open(period)
        first = self._rows_in_file + (1 if self._parquet is not None else 2)
        if self._parquet is not None:
            self._parquet.write_table(rows)
        else:
            pyarrow.csv.write_csv(
                rows, self._streams[-1], pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
            )
        self._rows_in_file += len(rows)
        self.rows += len(rows)
        return first

    def cut_off(self, row: pa.Table) -> int | None:
        """End a CSV file with a broken line, as if the export had died; returns its line number."""
        if self._parquet is not None or not self._streams:
            return None
        text = str(row.column(0)[0].as_py())
        self._streams[-1].write(text[: len(text) // 2].encode())
        self.rows += 1
        return self._rows_in_file + 2

    def close(self) -> None:
        """End the open file."""
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        for stream in reversed(self._streams):
            stream.close()
        self._streams = []

    def _open(self, period: str) -> None:
        self._period, self._rows_in_file = period, 0
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / Path(self.name).name
        if path.exists():
            raise FileExistsError(f"{path} is there already; generate a shop into an empty folder")
        self.files += 1
        if self.plan.file_format == "parquet":
            self._parquet = pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in self.columns]))
            return
        stream = path.open("wb")
        self._streams.append(stream)
        if self.plan.file_format == "csv.gz":
            # Without name and time in the header, the same rows are the same bytes.
            self._streams.append(gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=stream, mtime=0))
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(self.columns)
        self._streams[-1].write(header.getvalue().encode())
