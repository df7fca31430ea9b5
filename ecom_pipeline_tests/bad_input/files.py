# ruff: noqa: E501 - tables of cases read better one a line, and odd characters are what they are about
"""Bad files: headers, encodings, line ends, quotes, packed and truncated files, other formats."""

import gzip
import io
import sqlite3
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ecom_pipeline_tests.bad_input.cases import (
    COLUMNS,
    FIRST,
    HEADER,
    LAST,
    UNREADABLE,
    Case,
    both_good,
    one_bad_row,
    refused,
    row,
)

TEXT = HEADER + FIRST + LAST
BOM = b"\xef\xbb\xbf"


def file_cases() -> list[Case]:
    """All of them."""
    return [
        *_columns(), *_encodings(), *_line_ends(), *_quotes(), *_packed(), *_no_tables(), *_parquet(), *_json(), *_sizes(),
    ]  # fmt: skip


def _columns() -> list[Case]:
    cases = []
    for column in COLUMNS:
        without = HEADER.replace(column, f"{column}_id")
        cases.append(
            refused("columns", f"{column} renamed", (without + FIRST).encode(), f"the column {column!r} is missing")
        )
        gone = ",".join(name for name in COLUMNS if name != column) + "\n"
        cases.append(refused("columns", f"{column} gone", gone.encode(), f"the column {column!r} is missing"))
        twice = HEADER.rstrip() + f",{column}\n"
        cases.append(refused("columns", f"{column} twice", twice.encode(), f"{column!r} is there twice"))
        loud = HEADER.replace(column, column.upper())
        cases.append(both_good("columns", f"{column} in capitals", (loud + FIRST + LAST).encode()))
    turned = [",".join(reversed(line.split(","))) + "\n" for line in TEXT.strip().split("\n")]
    cases.append(both_good("columns", "in another order", "".join(turned).encode()))
    more = [line + ",x\n" for line in TEXT.strip().split("\n")]
    cases.append(both_good("columns", "one more", "".join(more).encode()))
    wide = [line + ",x" * 500 + "\n" for line in TEXT.strip().split("\n")]
    cases.append(both_good("columns", "five hundred more", "".join(wide).replace(",x", ",").encode()))
    cases.append(both_good("columns", "blanks in the header", (HEADER.replace(",", " , ") + FIRST + LAST).encode()))
    for name in ("_line", "_file_id", "_text", "_file", "_row"):
        header = HEADER.rstrip() + f",{name}\n"
        cases.append(refused("columns", f"{name} is ours", header.encode(), "a name of the pipeline itself"))
    for mark in (";", "\t", "|", "^", ":"):
        cases.append(refused("columns", f"delimited by {mark!r}", TEXT.replace(",", mark).encode(), "is missing"))
    cases.append(refused("columns", "no header", (FIRST + LAST).encode(), "is missing"))
    cases.append(refused("columns", "a line of sep= first", b"sep=,\n" + TEXT.encode(), "is missing"))
    cases.append(refused("columns", "a title first", b"Orders of May\n\n" + TEXT.encode(), "is missing"))
    cases.append(refused("columns", "a quote that stays open", HEADER.replace("item", '"item').encode(), "is missing"))
    return cases


def _encodings() -> list[Case]:
    accents = row(item="pâté")
    cases = [
        both_good("encoding", "a mark of byte order", BOM + TEXT.encode()),
        refused("encoding", "two marks of byte order", BOM + BOM + TEXT.encode(), "is missing"),
        one_bad_row("encoding", "a mark of byte order in the middle", BOM + HEADER.encode(), "bad_quantity"),
        one_bad_row("encoding", "latin-1", accents.encode("latin-1"), UNREADABLE),
        one_bad_row("encoding", "windows-1252", row(item="“corn”").encode("cp1252"), UNREADABLE),
        one_bad_row("encoding", "shift-jis", row(item="日本").encode("shift-jis"), UNREADABLE),
        one_bad_row("encoding", "gb18030", row(item="中文").encode("gb18030"), UNREADABLE),
        one_bad_row("encoding", "a character cut in two", b"@2,c\xc3,corn,1,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "a surrogate", b"@2,c\xed\xa0\x80,corn,1,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "too long a form", b"@2,c\xc0\xaf,corn,1,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "beyond Unicode", b"@2,c\xf5\x80\x80\x80,corn,1,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "a byte that is never text", b"@2,c\xff,corn,1,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "a NUL byte in an id", b"@2,c\x00d,corn,1,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "a NUL byte in a number", b"@2,c,corn,1\x00,1,2024-01-05\n", UNREADABLE),
        one_bad_row("encoding", "a row of NUL bytes", b"\x00" * 40 + b"\n", UNREADABLE),
        one_bad_row("encoding", "a NUL byte in quotes", b'@2,"c\x00",corn,1,1,2024-01-05\n', UNREADABLE),
        refused(
            "encoding", "a NUL byte in the header", TEXT.replace("item", "it\x00em").encode(), "the header is not utf-8"
        ),
        refused("encoding", "UTF-16", TEXT.encode("utf-16"), "set csv.encoding"),
        refused("encoding", "UTF-16 without its mark", TEXT.encode("utf-16-le"), "orders/"),
        refused("encoding", "UTF-32", TEXT.encode("utf-32"), "orders/"),
        refused("encoding", "EBCDIC", TEXT.encode("cp500"), "set csv.encoding"),
        refused(
            "encoding",
            "latin-1 with NUL bytes",
            (HEADER + "@1,a\x00,b,1,1,2024-01-05\n").encode(),
            "NUL",
            folder="latin1",
        ),
        both_good("encoding", "latin-1 where the profile says so", TEXT.encode("latin-1"), folder="latin1"),
        Case(
            "encoding",
            "NUL bytes padded to a block",
            TEXT.encode() + b"\x00" * 512,
            good=(("1", 2), ("3", 3)),
            bad=((4, UNREADABLE),),
        ),
        Case(
            "encoding",
            "a sign of the end of file",
            TEXT.encode() + b"\x1a",
            good=(("1", 2), ("3", 3)),
            bad=((4, UNREADABLE),),
        ),
    ]
    return [_named_orders(case) for case in cases]


def _named_orders(case: Case) -> Case:
    if case.refused != "orders/":
        return case
    return Case(case.kind, case.name, case.contents, refused="csv/", folder=case.folder, suffix=case.suffix)


def _line_ends() -> list[Case]:
    first, last = FIRST.rstrip(), LAST.rstrip()
    header = HEADER.rstrip()
    ends = {
        "line feeds": "\n", "carriage returns": "\r", "both": "\r\n",
    }  # fmt: skip
    cases = [both_good("line ends", name, TEXT.replace("\n", end).encode()) for name, end in ends.items()]
    for one, a in ends.items():
        for other, b in ends.items():
            if a != b:
                text = f"{header}{a}{first}{b}{last}{b}"
                cases.append(both_good("line ends", f"header with {one}, rows with {other}", text.encode()))
                text = f"{header}{a}{first}{a}{last}{b}"
                cases.append(both_good("line ends", f"{one}, the last {other}", text.encode()))
    cases.append(both_good("line ends", "none at the end", TEXT.rstrip().encode()))
    cases.append(
        Case("line ends", "blank lines", f"{header}\n\n\n{first}\n\n{last}\n\n".encode(), good=(("1", 4), ("3", 6)))
    )
    cases.append(Case("line ends", "one in quotes", (HEADER + FIRST + row(item="a\rb") + LAST).encode(),
                      good=(("1", 2), ("2", 3), ("3", 4)), values={"2": ("item_id", "a\rb")}))  # fmt: skip
    for end in ("\n", "\r\n"):
        text = HEADER + FIRST + row(item=f"a{end}b") + LAST
        cases.append(Case("line ends", f"{end!r} in quotes", text.encode(),
                          good=(("1", 2), ("2", 3), ("3", 5)), values={"2": ("item_id", f"a{end}b")}))  # fmt: skip
    cut = HEADER + FIRST + "@2,cid,cor"
    cases.append(Case("line ends", "cut in the last row", cut.encode(), good=(("1", 2),), bad=((3, UNREADABLE),)))
    return cases


def _quotes() -> list[Case]:
    opened = '@2,"cid,corn,1,2.00,2024-01-05\n'
    cases = [
        one_bad_row("quotes", "one that never closes", opened, UNREADABLE),
        one_bad_row(
            "quotes", "one that never closes in the last column", '@2,cid,corn,1,2.00,"2024-01-05\n', UNREADABLE
        ),
        one_bad_row("quotes", "one that closes too early", '@2,"c"id,corn,1,2.00,2024-01-05\n', UNREADABLE),
        one_bad_row("quotes", "three in a row", '@2,"""cid,corn,1,2.00,2024-01-05\n', UNREADABLE),
        one_bad_row("quotes", "escaped by a backslash", '@2,"a\\"b",corn,1,2.00,2024-01-05\n', UNREADABLE),
        one_bad_row("quotes", "a lone one", '"\n', UNREADABLE),
    ]
    many = "".join(f'@q{n},"open,corn,1,2.00,2024-01-05\n@g{n},cid,corn,1,2.00,2024-01-0{n}\n' for n in range(1, 9))
    cases.append(
        Case("quotes", "one that never closes in every other row", (HEADER + FIRST + many + LAST).encode(),
             good=(("1", 2), *((f"g{n}", 2 + 2 * n) for n in range(1, 9)), ("3", 19)),
             bad=tuple((1 + 2 * n, UNREADABLE) for n in range(1, 9)))
    )  # fmt: skip
    cases.append(
        Case("quotes", "one that never closes in the last row", (HEADER + FIRST + opened).encode(),
             good=(("1", 2),), bad=((3, UNREADABLE),))
    )  # fmt: skip
    cases.append(
        Case("quotes", "one that never closes, with other line ends", (HEADER + FIRST + opened + LAST).replace("\n", "\r\n").encode(),
             good=(("1", 2), ("3", 4)), bad=((3, UNREADABLE),))
    )  # fmt: skip
    cases.append(
        Case("quotes", "one that never closes, packed", (HEADER + FIRST + opened + LAST).encode(),
             good=(("1", 2), ("3", 4)), bad=((3, UNREADABLE),), suffix=".csv.gz", pack=gzip.compress)
    )  # fmt: skip
    inside = HEADER + FIRST + row(item='5" pipe') + LAST
    cases.append(
        Case(
            "quotes",
            "inches",
            inside.encode(),
            good=(("1", 2), ("2", 3), ("3", 4)),
            values={"2": ("item_id", '5" pipe')},
        )
    )
    return cases


def _packed() -> list[Case]:
    whole = gzip.compress(TEXT.encode() + b"# " * 1000)
    zstd = bytes(pa.compress(TEXT.encode() * 50, codec="zstd", asbytes=True))
    cases = [
        refused(
            "packed",
            f"gzip cut after {share:.0%}",
            whole[: int(len(whole) * share)],
            "unpacked to its end",
            suffix=".csv.gz",
        )
        for share in (0.3, 0.5, 0.7, 0.9, 0.95)
    ]
    cases += [
        refused("packed", f"zstd cut after {share:.0%}", zstd[: int(len(zstd) * share)], "cut short", suffix=".csv.zst")
        for share in (0.3, 0.6, 0.9)
    ]
    broken = bytearray(gzip.compress(TEXT.encode()))
    broken[-6] ^= 0xFF
    cases += [
        refused("packed", "gzip with a wrong checksum", bytes(broken), "unpacked to its end", suffix=".csv.gz"),
        refused("packed", "gzip that says it is not", gzip.compress(TEXT.encode()), "compressed with gzip"),
        refused("packed", "zstd that says it is not", zstd, "compressed with zstd"),
        refused("packed", "plain that says it is gzip", TEXT.encode(), "is not compressed", suffix=".csv.gz"),
        refused("packed", "plain that says it is zstd", TEXT.encode(), "is not compressed", suffix=".csv.zst"),
        refused("packed", "zstd that says it is gzip", zstd, "compressed with zstd", suffix=".csv.gz"),
        refused("packed", "gzip in gzip", gzip.compress(gzip.compress(TEXT.encode())), "csv/", suffix=".csv.gz"),
        refused("packed", "an empty gzip", gzip.compress(b""), "no header", suffix=".csv.gz"),
        refused("packed", "an empty file called gzip", b"", "csv/", suffix=".csv.gz"),
        refused("packed", "a bomb", gzip.compress(_much(), 6, mtime=0), "times its size", suffix=".csv.gz"),
        refused("packed", "a bomb of zstd", _zstd(_much()), "times its size", suffix=".csv.zst"),
        refused("packed", "a bomb of JSON lines", _zstd(_much()), "times its size", folder="jsonl", suffix=".jsonl.zst"),
        both_good("packed", "gzip", TEXT.encode(), suffix=".csv.gz", pack=gzip.compress),
        both_good("packed", "zstd", TEXT.encode(), suffix=".csv.zst", pack=_zstd),
        both_good("packed", "gzip in two parts", TEXT.encode(), suffix=".csv.gz", pack=_two_parts),
    ]  # fmt: skip
    return cases


def _zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def _two_parts(data: bytes) -> bytes:
    return gzip.compress(data[:50]) + gzip.compress(data[50:])


def _much() -> bytes:
    return HEADER.encode() + b"0" * (80 << 20)


def _no_tables() -> list[Case]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("orders.csv", TEXT)
    contents = {
        "an empty file": (b"", "no header"),
        "one blank line": (b"\n", "is missing"),
        "blank lines": (b"\n\n\n", "is missing"),
        "a web page": (b"<!doctype html><html><body>404 Not Found</body></html>", "is missing"),
        "JSON": (b'{"orders": []}', "is missing"),
        "XML": (b'<?xml version="1.0"?><orders/>', "is missing"),
        "a zip archive": (archive.getvalue(), "csv/"),
        "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is missing"),
        "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "csv/"),
        "a program": (b"\x7fELF" + bytes(range(256)), "csv/"),
        "a database": (_database(), "csv/"),
        "random bytes": (bytes((n * 7919) % 256 for n in range(5000)), "csv/"),
        "NUL bytes": (b"\x00" * 4096, "csv/"),
        "one word": (b"orders", "is missing"),
        "a stack trace": (b"Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "is missing"),
    }
    cases = [refused("not a table", name, data, words) for name, (data, words) in contents.items()]
    cases.append(Case("not a table", "a header alone", HEADER.encode()))
    cases.append(Case("not a table", "a header alone, without an end", HEADER.rstrip().encode()))
    return cases


def _database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.db"
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE orders (id)")
        connection.commit()
        connection.close()
        return file.read_bytes()


def _parquet() -> list[Case]:
    columns: dict[str, list[object]] = {
        "order": ["@1", "@3"], "customer": ["ann", None], "item": ["apple", "bread"], "qty": [2, 1], "price": [1.5, 3.0],
        "at": ["2024-01-05 10:00:00"] * 2,
    }  # fmt: skip
    whole = _as_parquet(columns)

    def bad(name: str, contents: bytes, words: str) -> Case:
        return refused("parquet", name, contents, words, folder="parquet", suffix=".parquet")

    cases = [
        bad(f"cut after {share:.0%}", whole[: int(len(whole) * share)], "not a whole Parquet file")
        for share in (0.1, 0.4, 0.8, 0.99)
    ]
    cases += [
        bad("text", TEXT.encode(), "not a whole Parquet file"),
        bad("empty", b"", "not a whole Parquet file"),
        bad("its mark alone", b"PAR1", "not a whole Parquet file"),
        bad("a footer that lies", whole[:-8] + b"\xff\xff\xff\x7fPAR1", "not a whole Parquet file"),
        bad("a bomb of one value over and over", _repeated(columns=110, rows=650_000), "times its size"),
        bad("a column whose name is no text", whole.replace(b"customer", b"\x80ustomer"), "not a whole Parquet file"),
        bad("damage in the middle", whole[:60] + b"\x00" * 40 + whole[100:], "parquet/"),
        bad("without a column", _as_parquet({k: v for k, v in columns.items() if k != "qty"}), "'qty' is missing"),
        bad(
            "renamed", _as_parquet({("amount" if k == "qty" else k): v for k, v in columns.items()}), "'qty' is missing"
        ),
    ]

    def loaded(
        name: str,
        changed: dict[str, list[object]],
        good: tuple[tuple[str, int], ...],
        bad_: tuple[tuple[int, str], ...] = (),
    ) -> Case:
        def pack(prefix: bytes) -> bytes:
            orders: list[object] = [str(order).replace("@", prefix.decode()) for order in columns["order"]]
            return _as_parquet(columns | {"order": orders[: len(next(iter(changed.values()), orders))]} | changed)

        return Case("parquet", name, b"@", good=good, bad=bad_, folder="parquet", suffix=".parquet", pack=pack)

    cases += [
        loaded("whole", {}, (("1", 1), ("3", 2))),
        loaded("numbers that are none", {"qty": [float("nan"), 1.0]}, (("3", 2),), ((1, "bad_quantity"),)),
        loaded("numbers without end", {"qty": [float("inf"), 1.0]}, (("3", 2),), ((1, "bad_quantity"),)),
        loaded("a null", {"qty": [None, 1]}, (("3", 2),), ((1, "missing_quantity"),)),
        loaded("lists", {"item": [["a"], ["b"]]}, (("1", 1), ("3", 2))),
        loaded("truth for numbers", {"qty": [True, True]}, (), ((1, "bad_quantity"), (2, "bad_quantity"))),
        loaded("no rows", {k: [] for k in columns}, ()),
    ]
    return cases


def _repeated(*, columns: int, rows: int) -> bytes:
    value = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), rows), pa.array(["corn"]))
    target = io.BytesIO()
    pq.write_table(pa.table({f"column{n}": value for n in range(columns)}), target)
    return target.getvalue()


def _as_parquet(columns: dict[str, list[object]]) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, compression="none")
    return target.getvalue()


def _json() -> list[Case]:
    first = '{"order": "@1", "customer": "ann", "item": "apple", "qty": 2, "price": 1.5, "at": "2024-01-05 10:00:00"}'
    last = first.replace("@1", "@3")
    lines = {
        "cut": (first[:40], "not_json"),
        "a list": ("[1, 2]", "not_json"),
        "a text": ('"order"', "not_json"),
        "a number": ("42", "not_json"),
        "null": ("null", "not_json"),
        "single quotes": ("{'order': '1'}", "not_json"),
        "two in a line": (first + first, "not_json"),
        "a comment": ("// x", "not_json"),
        "an empty object": ("{}", "missing_time"),
        "NaN": (first.replace('"qty": 2', '"qty": NaN'), "bad_quantity"),
        "a quantity in words": (first.replace('"qty": 2', '"qty": "two"'), "bad_quantity"),
        "a list for a quantity": (first.replace('"qty": 2', '"qty": [2]'), "bad_quantity"),
        "an object for a quantity": (first.replace('"qty": 2', '"qty": {"n": 2}'), "bad_quantity"),
        "null for a quantity": (first.replace('"qty": 2', '"qty": null'), "missing_quantity"),
        "a date that does not exist": (first.replace("2024-01-05", "2024-02-30"), "bad_time"),
        "other names": (first.replace("qty", "quantity"), "missing_quantity"),
        "nested without end": ("[" * 3000 + "]" * 3000, "not_json"),
        "CSV": (FIRST.rstrip(), "not_json"),
        "bytes that are no text": ("\udcff", UNREADABLE),
        "a NUL byte": ("\x00", UNREADABLE),
    }
    return [
        Case("json lines", name, f"{first}\n{text}\n{last}\n".encode(errors="surrogateescape"),
             good=(("1", 1), ("3", 3)), bad=((2, rule),), folder="jsonl", suffix=".jsonl")
        for name, (text, rule) in lines.items()
    ] + [
        Case("json lines", "empty", b"", folder="jsonl", suffix=".jsonl"),
        Case("json lines", "blank lines", f"\n{first}\n\n{last}\n\n".encode(), good=(("1", 2), ("3", 4)), folder="jsonl", suffix=".jsonl"),
        Case("json lines", "mixed line ends", f"{first}\r\n{last}\n".encode(), good=(("1", 1), ("3", 2)), folder="jsonl", suffix=".jsonl"),
        Case("json lines", "a list of objects", f"[{first},\n{last}]\n".encode(), bad=((1, "not_json"), (2, "not_json")), folder="jsonl", suffix=".jsonl"),
    ]  # fmt: skip


def _sizes() -> list[Case]:
    return [
        one_bad_row("size", "a field of 10 MB", row(customer="x" * (10 << 20)), "long_user_id"),
        one_bad_row("size", "a field of 17 MB", row(customer="x" * (17 << 20)), UNREADABLE),
        refused("size", "a header of 2 MB", b"x" * (2 << 20) + b"," + TEXT.encode(), "csv/"),
        Case("size", "ten thousand rows and one bad", (HEADER + "".join(f"@a{n},ann,apple,1,1,2024-01-05\n" for n in range(10_000)) + "bad\n").encode(),
             good=tuple((f"a{n}", n + 2) for n in range(10_000)), bad=((10_002, UNREADABLE),)),
    ]  # fmt: skip
