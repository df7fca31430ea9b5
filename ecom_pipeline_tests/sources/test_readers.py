"""Formats and dialects; rows that cannot be parsed; lines that rows are said to be on."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecom_pipeline_tests.sources.shop import HEADER, ORDERS, Shop, open_shop

GOOD = "1,ann,apple,2,1.50,2024-01-05 10:00:00\n"
BREAD = "1,ann,bread,1,3.00,2024-01-05 10:00:00\n"


def zstd(text: str) -> bytes:
    return bytes(pa.compress(text.encode(), codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("a.csv", (HEADER + GOOD + BREAD).encode()),
        ("a.csv.gz", gzip.compress((HEADER + GOOD + BREAD).encode(), mtime=0)),
        ("a.csv.zst", zstd(HEADER + GOOD + BREAD)),
        ("a.csv", (HEADER + GOOD + BREAD).replace("\n", "\r\n").encode()),
        ("a.csv", (HEADER + GOOD + BREAD).replace("\n", "\r").encode()),
        ("a.csv", (HEADER + GOOD + BREAD).rstrip("\n").encode()),
        ("a.csv", b"\xef\xbb\xbf" + (HEADER + GOOD + BREAD).encode()),
        ("sub folder/[a]*?.csv", (HEADER + GOOD + BREAD).encode()),
    ],
    ids=["plain", "gzip", "zstd", "crlf", "cr", "no end of line", "bom", "name with wildcards"],
)
def test_text_files_are_read_however_they_are_packed_and_ended(shop: Shop, name: str, contents: bytes) -> None:
    shop.write(f"orders/{name}", contents)
    report, _ = shop.ingest()
    assert (report.rows_in, report.rows_unreadable, report.refused) == (2, 0, ())
    assert [(row[3], row[-1]) for row in shop.core()] == [("apple", 2), ("bread", 3)]


@pytest.mark.parametrize("name", ["file_index", "File_Index", "filename"])
def test_a_column_that_is_called_as_what_tells_the_files_apart_is_read_like_any_other(shop: Shop, name: str) -> None:
    header = HEADER.rstrip() + f",{name}\n"
    shop.write("orders/a.csv", header + GOOD.rstrip() + ",1\n")
    shop.write("orders/b.csv", header)
    shop.write("orders/c.csv", header + GOOD.rstrip() + ",0\n" + BREAD.rstrip() + ",7\n" + BREAD.rstrip() + ",7\n")
    report, _ = shop.ingest()
    assert (report.files_loaded, report.rows_in, report.refused) == (3, 4, ())
    raw = shop.rows(
        f'SELECT path, _line, "{name}" FROM raw_orders JOIN ingest_files ON file_id = _file_id ORDER BY ALL'
    )
    assert raw == [
        ("orders/a.csv", 2, "1"),
        ("orders/c.csv", 2, "0"),
        ("orders/c.csv", 3, "7"),
        ("orders/c.csv", 4, "7"),
    ]
    assert shop.is_conserved()


def test_regular_irregular_and_empty_files_of_one_batch_keep_their_lines(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + GOOD + BREAD)
    shop.write("orders/b.csv", HEADER + '5,ann,"figs\nripe",1,3.00,2024-01-05\n' + "6,ann,corn,1,3.00,2024-01-05\n")
    shop.write("orders/c.csv", HEADER)
    shop.write("orders/d.csv", HEADER + "7,ann,dates,1,3.00,2024-01-05\n\n8,ann,eggs,1,3.00,2024-01-05\n")
    shop.write("orders/e.csv", HEADER + "9,ann,grapes,1,3.00,2024-01-05\n")
    shop.write("orders/f.csv", HEADER + "\n\n")
    report, _ = shop.ingest()
    assert (report.files_loaded, report.rows_in) == (6, 7)
    raw = shop.rows(
        "SELECT path, _line, qty FROM raw_orders JOIN ingest_files ON file_id = _file_id ORDER BY path, _line"
    )
    assert [(path[-5], line) for path, line, _ in raw] == [
        ("a", 2), ("a", 3), ("b", 2), ("b", 4), ("d", 2), ("d", 4), ("e", 2)
    ]  # fmt: skip
    assert shop.is_conserved()


def test_a_header_that_is_longer_than_what_is_usually_looked_at_is_read_to_its_end(shop: Shop) -> None:
    many = [f"column {number} with a name that is rather long" for number in range(1_000)]
    shop.write("orders/a.csv", ",".join([HEADER.rstrip(), *many]) + "\n" + GOOD.rstrip() + "," * len(many) + "\n")
    quoted = '"' + "a name of\nmany lines\n" * 2_000 + '"'
    shop.write("orders/b.csv", f"{HEADER.rstrip()},{quoted}\n{BREAD.rstrip()},x\n")
    report, _ = shop.ingest()
    assert (report.files_loaded, report.rows_in, report.refused) == (2, 2, ())
    assert [(row[3], row[-1]) for row in shop.core()] == [("apple", 2), ("bread", 4_002)]


def test_rows_keep_their_line_behind_line_breaks_in_quotes_blank_lines_and_bad_rows(shop: Shop) -> None:
    lines = [
        HEADER.rstrip(),  # line 1
        '1,ann,"apple\nred\n\ngreen",2,1.50,2024-01-05',  # lines 2 to 5
        "1,ann,bread",  # 6, too few columns
        "",  # 7
        "2,ann,corn,1,3.00,2024-01-05",  # 8
        "3,ann,dates,1,3.00,2024-01-05,what,is,this",  # 9, too many
        '4,ann,"eggs"x,1,3.00,2024-01-05',  # 10, text behind a quote
        "5,ann,figs,one,3.00,2024-01-05",  # 11, typed wrong
        "6,ann,grapes,1,3.00,2024-01-05",  # 12
    ]
    shop.write("orders/a.csv", "\n".join(lines) + "\n")
    report, _ = shop.ingest()
    assert [(row[3].split()[0], row[-1]) for row in shop.core()] == [("apple", 2), ("corn", 8), ("grapes", 12)]
    assert [row[1:] for row in shop.quarantine()] == [
        (6, "unreadable"),
        (9, "unreadable"),
        (10, "unreadable"),
        (11, "bad_quantity"),
    ]
    assert dict(shop.rows("SELECT line, raw FROM quarantine_orders"))[6] == "1,ann,bread"
    assert (report.rows_in, report.rows_unreadable, shop.is_conserved()) == (7, 3, True)


def test_a_quoted_header_over_several_lines_moves_the_rows_down(tmp_path: Path) -> None:
    text = ORDERS.replace("item_id: item", r'item_id: "\"the\nitem\""')
    with open_shop(tmp_path, text) as shop:
        shop.write("orders/a.csv", HEADER.replace("item", '"the\nitem"') + GOOD)
        report, _ = shop.ingest()
        assert report.refused == ()
        assert [(row[3], row[-1]) for row in shop.core()] == [("apple", 3)]


def test_files_without_a_header_take_the_names_of_the_profile(tmp_path: Path) -> None:
    text = ORDERS.replace(
        "    columns:",
        "    csv: {header: false, delimiter: '|', quote: null, escape: null, null_values: ['-']}\n"
        "    raw_columns: [order, customer, item, qty, price, at]\n    columns:",
    )
    with open_shop(tmp_path, text) as shop:
        shop.write("orders/a.txt", '1|-|5" pipe|2|1.5|2024-01-05\n')
        shop.ingest()
        assert [(row[2], row[3], row[-1]) for row in shop.core()] == [(None, '5" pipe', 1)]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = ORDERS.replace("    columns:", f"    csv: {{encoding: {encoding}}}\n    columns:")
    with open_shop(tmp_path, text) as shop:
        contents = HEADER + GOOD.replace("apple", "crème brûlée") + "\n" + BREAD
        shop.write("orders/a.csv", contents.encode(encoding))
        report, _ = shop.ingest()
        assert report.refused == ()
        assert [(row[3], row[-1]) for row in shop.core()] == [("bread", 4), ("crème brûlée", 2)]


def test_bytes_that_are_not_of_the_encoding_are_quarantined_row_by_row(shop: Shop) -> None:
    shop.write("orders/a.csv", (HEADER + GOOD).encode() + BREAD.replace("bread", "pâté").encode("latin-1"))
    shop.ingest()
    assert [row[3] for row in shop.core()] == ["apple"]
    assert shop.quarantine() == [("orders/a.csv", 3, "unreadable")]


JSONL = ORDERS.replace("    columns:", "    format: jsonl\n    columns:").replace(
    "user_id: customer", "user_id: \"json_extract_string(customer, '$.id')\""
)


def test_json_lines_are_read_with_bad_lines_in_quarantine(tmp_path: Path) -> None:
    row = {"order": "1", "customer": {"id": "ann"}, "item": 'a "b"', "qty": 2, "price": 1.5, "at": "2024-01-05"}
    bread = json.dumps(row | {"item": "bread", "customer": None})
    contents = [json.dumps(row | {"extra": [1]}), "", "{broken", '"text"', bread]
    with open_shop(tmp_path, JSONL) as shop:
        shop.write("orders/a.jsonl.gz", gzip.compress("\n".join(contents).encode()))
        report, _ = shop.ingest()
        assert report.rows_in == 4
        assert [(found[2], found[3], found[5], found[-1]) for found in shop.core()] == [
            ("ann", 'a "b"', 2.0, 1),
            (None, "bread", 2.0, 5),
        ]
        assert shop.quarantine() == [("orders/a.jsonl.gz", 3, "not_json"), ("orders/a.jsonl.gz", 4, "not_json")]
        assert shop.is_conserved()


PARQUET = ORDERS.replace("    columns:", "    format: parquet\n    columns:").replace(
    'formats: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]', "formats: iso"
)


def parquet_orders(path: Path) -> None:
    import datetime as dt

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "order": [1, 2, 3],
            "customer": [17850.0, None, 1.0],
            "item": ["apple", "bread", None],
            "qty": [2, 1, 1],
            "price": [1.5, 3.25, 1.0],
            "at": [dt.datetime(2024, 1, 5, 10, 0, 0, 123456)] * 3,
        }
    )
    pq.write_table(table, path)


def test_parquet_is_read_with_row_numbers_as_lines(tmp_path: Path) -> None:
    with open_shop(tmp_path, PARQUET) as shop:
        parquet_orders(shop.landing / "orders" / "a.parquet")
        shop.ingest()
        assert [(row[1], row[3], row[6], row[-1]) for row in shop.core()] == [
            ("1", "apple", 1.5, 1),
            ("2", "bread", 3.25, 2),
        ]
        assert shop.quarantine() == [("orders/a.parquet", 3, "missing_item_id")]
        assert shop.is_conserved()


def test_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    with open_shop(tmp_path, PARQUET) as shop:
        file = shop.landing / "orders" / "a.parquet"
        parquet_orders(file)
        file.write_bytes(file.read_bytes()[:-10])
        report, _ = shop.ingest()
        assert "orders/a.parquet: not a whole Parquet file" in report.refused[0][1]


def test_a_packed_file_cut_short_is_refused_and_loaded_when_it_is_whole(shop: Shop) -> None:
    whole = gzip.compress((HEADER + GOOD * 2000).encode())
    shop.write("orders/a.csv.gz", whole[:-20])
    shop.write("orders/b.csv", HEADER + BREAD)
    report, _ = shop.ingest()
    assert [path for path, _ in report.refused] == ["orders/a.csv.gz"]
    assert "cut short" in report.refused[0][1]
    shop.write("orders/a.csv.gz", whole)
    report, _ = shop.ingest()
    assert (report.refused, len(shop.core()), shop.is_conserved()) == ((), 2, True)


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("a.csv", b"", "no header"),
        ("a.csv", gzip.compress(b"x", mtime=0), "compressed with gzip"),
        ("a.csv.gz", HEADER.encode(), "is not compressed"),
        ("a.csv", b"order,customer,item,qty,price\n", "the column 'at' is missing"),
        ("a.csv", b"order,customer,item,qty,qty,price,at\n", "'qty' is there twice"),
        ("a.csv", b"order,customer,item,qty,price,at,_line\n", "a name of the pipeline itself"),
        ("a.csv", (HEADER + GOOD).encode("utf-16"), "set csv.encoding"),
    ],
)
def test_files_that_cannot_be_read_are_refused_with_the_mend(shop: Shop, name: str, contents: bytes, says: str) -> None:
    shop.write(f"orders/{name}", contents)
    report, update = shop.ingest()
    assert says in report.refused[0][1]
    assert report.refused[0][1].startswith(f"orders/{name}: ")
    assert update.files == 0


def test_columns_may_move_differ_in_case_and_be_more(shop: Shop) -> None:
    shop.write("orders/a.csv", "note,AT,Price,qty,item,customer,order\nhello,2024-01-05,1.5,2,apple,ann,1\n")
    shop.ingest()
    assert [(row[1], row[2], row[3], row[5]) for row in shop.core()] == [("1", "ann", "apple", 2.0)]
    assert shop.rows("SELECT note FROM raw_orders") == [("hello",)]


def test_rows_that_differ_in_a_column_unknown_to_the_profile_are_no_duplicates(shop: Shop) -> None:
    shop.write("orders/a.csv", HEADER + GOOD)
    shop.ingest()
    header = HEADER.strip() + ",note\n"
    shop.write("orders/b.csv", header + GOOD.strip() + ",x\n" + GOOD.strip() + ",y\n" + GOOD.strip() + ",x\n")
    shop.ingest()
    assert len(shop.core()) == 3
    assert shop.rows("SELECT line, kept_line FROM duplicates_orders") == [(4, 2)]
    assert shop.is_conserved()


FIELD = st.text(st.sampled_from('a,"\n x'), max_size=6)
ROWS = st.lists(st.tuples(st.booleans(), FIELD, FIELD), min_size=1, max_size=8)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(ROWS, min_size=1, max_size=12))
def test_lines_are_those_that_a_csv_writer_wrote(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[bool, str, str]]]
) -> None:
    expected = []
    with open_shop(tmp_path_factory.mktemp("shop"), ORDERS.replace("    key: exact\n", "")) as shop:
        for number, rows in enumerate(files):
            written = io.StringIO()
            writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
            written.write(HEADER)
            for blank_before, customer, item in rows:
                if blank_before:
                    written.write("\n")
                expected.append((f"orders/{number}.csv", written.getvalue().count("\n") + 1))
                writer.writerow(["1", customer, f"{item}i", "1", "1", "2024-01-05"])
            shop.write(f"orders/{number}.csv", written.getvalue())
        shop.ingest()
        assert sorted((row[0], row[-1]) for row in shop.core()) == sorted(expected)


def test_a_bad_row_is_found_whatever_files_are_read_with_its_own(shop: Shop) -> None:
    # DuckDB 1.5.6, reading several files, does not tell of a quote that stays open to the end of one
    for number in range(4):
        shop.write(f"orders/{number}.csv", HEADER + GOOD.replace("1,ann", f"{number},ann") + "x,y\n")
        shop.write(
            f"orders/{number}open.csv", HEADER + GOOD.replace("1,ann", f"{number}o,ann") + '7,"bo,b,1,1,2024-01-05\n'
        )
    shop.ingest()
    assert len(shop.quarantine()) == 8
    assert len(shop.core()) == 8


def test_parquet_files_of_other_types_do_not_change_each_others_numbers(tmp_path: Path) -> None:
    text = ORDERS.replace("    columns:", "    format: parquet\n    columns:")
    common = {"customer": ["ann"], "item": ["apple"], "price": [1.5], "at": ["2024-01-05"]}
    with open_shop(tmp_path, text) as shop:
        for name, quantity in (("a", 2), ("b", 2.5), ("c", "3.5"), ("d", True)):
            (shop.landing / "orders").mkdir(exist_ok=True)
            pq.write_table(
                pa.table({"order": [name], "qty": [quantity], **common}), shop.landing / "orders" / f"{name}.parquet"
            )
        shop.ingest()
        assert sorted(shop.rows("SELECT order_id, quantity FROM core_order_lines")) == [
            ("a", 2),
            ("b", 2.5),
            ("c", 3.5),
        ]
        assert shop.quarantine() == [("orders/d.parquet", 1, "bad_quantity")]
