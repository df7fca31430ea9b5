"""Exports: the same rows in every format, nothing that a spreadsheet would run, and refusals that say what to do."""

import csv
import json
import zipfile
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from typer.testing import CliRunner

from ecom_pipeline import contracts
from ecom_pipeline.cli import app
from ecom_pipeline.exporting import ExportError, export_tables, workbook

FORMULA = '=HYPERLINK("http://x")'
NAMES = (FORMULA, "+1", "-2", "@SUM(A1)", "\tx", "plain, with comma", "O'Neil's \"best\"", "ünï ☕", None)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("published") / "analytics.duckdb"
    with duckdb.connect(str(file)) as connection:
        for name, declared in contracts.PUBLISHED_TABLES.items():
            connection.execute(contracts.create_statement(declared, name=name))
            for statement in contracts.comment_statements(declared, name=name):
                connection.execute(statement)
        for place, text in enumerate(NAMES):
            connection.execute(
                "INSERT INTO items (item_id, name, price, first_seen, last_seen) "
                "VALUES (?, ?, ?, '2025-01-01', '2025-01-02')",
                [f"i{place}", text, float("nan") if place == 1 else place - 3.5],
            ).fetchall()
        for night in ("2025-06-29", "2025-06-30"):
            connection.execute(
                "INSERT INTO similar_items "
                "SELECT CAST(? AS DATE), 'i' || i, 1, 'i' || (i + 1), 0.5, 'v' FROM range(4) t(i)",
                [night],
            ).fetchall()
    return file


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def sheets(file: Path) -> dict[str, list[list[str]]]:
    """Text and numbers of each sheet, read from the XML itself; a formula would be an element `f`."""
    space = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(file) as archive:
        names = [
            str(sheet.get("name"))
            for sheet in ElementTree.fromstring(archive.read("xl/workbook.xml")).iterfind(".//m:sheet", space)  # noqa: S314 - our own file
        ]
        found = {}
        for place, name in enumerate(names, start=1):
            root = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{place}.xml"))  # noqa: S314 - our own file
            assert root.find(".//m:f", space) is None
            found[name] = [
                ["".join(cell.itertext()) for cell in row.iterfind("m:c", space)]
                for row in root.iterfind(".//m:row", space)
            ]
    return found


def test_csv_and_parquet_hold_the_published_rows(published: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(published), read_only=True) as connection:
        expected = connection.execute("SELECT * FROM similar_items ORDER BY ALL").fetchall()
    for file_format in ("csv", "parquet"):
        (written,) = export_tables(
            published, ["similar_items"], out=tmp_path / f"out.{file_format}", file_format=file_format
        )
        assert written.rows == {"similar_items": 8}
        with duckdb.connect() as connection:
            assert connection.execute(f"SELECT * FROM '{written.file}' ORDER BY ALL").fetchall() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.parquet"]


def test_a_night_or_the_latest_alone(published: Path, tmp_path: Path) -> None:
    for night, expected in (("latest", "2025-06-30"), (date(2025, 6, 29), "2025-06-29")):
        (written,) = export_tables(
            published,
            ["similar_items"],
            out=tmp_path / expected,
            file_format="csv",
            night=night,  # type: ignore[arg-type]
        )
        rows = rows_of(written.file)
        assert {row["as_of"] for row in rows} == {expected}
    with pytest.raises(ExportError, match="similar_items has no night 2020-01-01: it has 2025-06-29 to 2025-06-30"):
        export_tables(published, ["similar_items"], out=tmp_path / "x", file_format="csv", night=date(2020, 1, 1))


def test_no_csv_cell_begins_like_a_formula(published: Path, tmp_path: Path) -> None:
    (guarded,) = export_tables(published, ["items"], out=tmp_path / "guarded", file_format="csv")
    (raw,) = export_tables(published, ["items"], out=tmp_path / "raw", file_format="csv", guard_formulas=False)
    names = [row["name"] for row in rows_of(guarded.file)]
    assert guarded.guarded_cells == 5
    assert names == ["'" + name for name in NAMES[:5] if name] + [name or "" for name in NAMES[5:]]
    assert [row["name"] for row in rows_of(raw.file)] == [n or "" for n in NAMES]
    prices = [row["price"] for row in rows_of(guarded.file)]
    assert prices[0] == "-3.5"  # a negative number is no formula


def test_a_workbook_has_a_sheet_a_table_and_says_what_columns_mean(published: Path, tmp_path: Path) -> None:
    (written,) = export_tables(published, ["items", "similar_items"], out=tmp_path / "all.xlsx", file_format="xlsx")
    found = sheets(written.file)
    assert list(found) == ["items", "similar_items", "columns"]
    assert written.rows == {"items": len(NAMES), "similar_items": 8}
    assert found["items"][0][:2] == ["item_id", "name"]
    assert found["items"][1][1] == FORMULA
    assert [row[1] for row in found["similar_items"][1:5]] == ["i0", "i1", "i2", "i3"]
    assert ["items", "item_id", "VARCHAR", "Product."] in found["columns"]


def test_a_table_that_excel_cannot_hold_is_refused_before_anything_is_written(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 7)
    with pytest.raises(ExportError, match=r"similar_items has 8 rows, and a sheet of Excel takes 7\. Export one night"):
        export_tables(published, ["similar_items"], out=tmp_path / "x.xlsx", file_format="xlsx")
    assert list(tmp_path.iterdir()) == []
    export_tables(published, ["similar_items"], out=tmp_path / "x.xlsx", file_format="xlsx", night="latest")


def test_refusals_say_what_to_do(published: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No table 'sales_forecast' is published\\. Did you mean sales_forecasts"):
        export_tables(published, ["sales_forecast"], out=tmp_path, file_format="csv")
    with pytest.raises(ExportError, match="one csv file holds one table"):
        export_tables(published, ["items", "about"], out=tmp_path / "x.csv", file_format="csv")
    with pytest.raises(ExportError, match="nothing was published yet"):
        export_tables(tmp_path / "none.duckdb", ["items"], out=tmp_path, file_format="csv")
    (tmp_path / "items.csv").write_text("mine")
    with pytest.raises(ExportError, match="add --force to replace"):
        export_tables(published, ["items"], out=tmp_path, file_format="csv")
    assert (tmp_path / "items.csv").read_text() == "mine"
    export_tables(published, ["items"], out=tmp_path, file_format="csv", overwrite=True)
    assert (tmp_path / "items.csv").read_text().startswith("item_id")


def test_the_command_says_what_it_wrote(published: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "published").mkdir(parents=True)
    (home / "settings.yaml").write_text("profile: sample\n")
    (home / "published" / "analytics.duckdb").write_bytes(published.read_bytes())
    done = CliRunner().invoke(
        app,
        ["export", "items", "similar_items", "--latest", "--home", str(home), "--out", str(tmp_path / "o"), "--json"],
    )
    assert done.exit_code == 0, done.output
    assert [list(one["rows"].values()) for one in json.loads(done.stdout)] == [[9], [4]]
    wrong = CliRunner().invoke(app, ["export", "item", "--home", str(home), "--out", str(tmp_path / "o")])
    assert wrong.exit_code == 4
    assert "Did you mean items?" in wrong.stderr
    book = CliRunner().invoke(app, ["export", "items", "--home", str(home), "--out", str(tmp_path / "book.xlsx")])
    assert book.exit_code == 0, book.output
    assert list(sheets(tmp_path / "book.xlsx")) == ["items", "columns"]
    odd = ["export", "items", "--home", str(home), "--out", str(tmp_path / "b.xlsx"), "--format", "csv"]
    assert "ends in .xlsx, and the format is csv" in CliRunner().invoke(app, odd).stderr
    both = CliRunner().invoke(app, ["export", "items", "--latest", "--night", "2025-06-30", "--home", str(home)])
    assert both.exit_code == 2
