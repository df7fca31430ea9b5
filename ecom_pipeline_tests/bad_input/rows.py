# ruff: noqa: E501, RUF001 - tables of cases read better one a line, and odd characters are what they are about
"""Bad rows: one in a file between two good ones, by the column that is wrong."""

from ecom_pipeline_tests.bad_input.cases import SIGN, UNREADABLE, Case, one_bad_row, one_good_row, row

NO_NUMBERS = (
    "abc", "1,5", "1.234,56", "1,000", "1.5.2", "--1", "NaN", "nan", "inf", "-inf", "Infinity", "1e400", "1e12", "-1e13",
    "9" * 400, "0x1F", "0b11", "１２", "٣", "½", "1/2", "$5", "5 pcs", "1 000", "1'000", "TRUE", "null", "None", "#REF!",
    "#DIV/0!", "=1+1", "(5)", "1e", "e5", "+-1", "1-", "٫5", "1..2", "1e5e5", "-", ".", "∞", "1\u00a0000", "5%", "x1",
    "1_000", "-+1", "++1", "_1",
)  # fmt: skip
NO_TIMES = (
    "2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "2024-01-00", "2024-01-32", "0000-00-00", "05/01/2024",
    "01/05/2024 10:00", "2024/01/05", "2024.01.05", "20240105", "5 Jan 2024", "Jan 5, 2024", "2024-01-05T10:00:00Z",
    "2024-01-05 25:00:00", "2024-01-05 24:00:00", "2024-01-05 10:60:00", "2024-01-05 10:00:60", "2024-W01-5", "2024-005",
    "1704448800", "1704448800000", "45296", "45296.5", "yesterday", "now", "today", "NaN", "null",
    "2024-01-05 10:00", "２０２４-01-05", "2024-01-05 10:00:00 PM", "2024-01-05 10:00:00+01", "2024-01-05 10.00.00",
    "2024-01-05 10:00:00 Europe/Berlin", "2024-01-05\u200b", "2024-01", "2024", "10:00:00", "-2024-01-05",
)  # fmt: skip
TOO_EARLY = (
    "1899-12-30", "1900-01-01", "1901-01-05", "1970-01-01", "1970-01-01 00:00:00", "1980-01-01", "1989-12-31",
    "0024-01-05", "0001-01-01", "1582-10-15", "24-01-05", "infinity", "-infinity", "epoch",
)  # fmt: skip
IN_FUTURE = ("2199-01-05", "2200-01-01", "9999-12-31", "2104-01-05", "2112-02-29", "3024-01-05 10:00:00")
ODD_IDS = (
    "😀", "👩‍👩‍👧‍👦", "שלום", "مرحبا", "\u202eevil", "a\u200bb", "café", "cafe\u0301", "ﬁ", "İstanbul", "ß", "日本語", "𝔘𝔫𝔦", "a\tb",
    "a\x07b", "\x1b[31mred", "0012", "1e5", "-1", "+1", "NULL", "nan", "true", "a b", "a'b", 'a"b', "a,b", "a;b", "a|b", "a\\b",
    "a/b", "../../etc/passwd", "%s%n", "{0}", "${HOME}", "`id`", "$(id)", "x" * 256,
)  # fmt: skip
INJECTIONS = (
    "'); DROP TABLE core_order_lines; --", "' OR '1'='1", "1; ATTACH '/etc/passwd'", "\\'; SELECT 1; --", '"; DROP TABLE x; --',
    "=cmd|'/c calc'!A1", "=HYPERLINK(\"http://x\")", "+1+1", "-1+1", "SUM(1)", "<script>alert(1)</script>", "{{7*7}}",
    "'||(SELECT getenv('HOME'))||'", "$1", ":as_of", "?", "%(x)s", "/* */", "-- x", "read_csv('/etc/passwd')", "\u037e DROP",
    "x' UNION SELECT * FROM duckdb_settings() --",
)  # fmt: skip


def row_cases() -> list[Case]:
    """All of them."""
    cases = []
    for text in NO_NUMBERS:
        cases.append(one_bad_row("numbers", f"quantity {text[:20]!r}", row(qty=text), "bad_quantity"))
        cases.append(one_bad_row("numbers", f"price {text[:20]!r}", row(price=text), "bad_unit_price"))
    for text in ("0", "-0", "0.0", "0e5"):
        cases.append(one_bad_row("numbers", f"quantity of a sale {text}", row(qty=text), SIGN))
    cases.append(one_bad_row("numbers", "negative price", row(price="-0.01"), "out_of_range_unit_price"))
    cases.append(one_bad_row("numbers", "a price that the profile's rule refuses", row(price="999999"), "cheap"))
    for text in ("", " ", "\t", "   "):
        rule = "bad_quantity" if text else "missing_quantity"
        cases.append(one_bad_row("numbers", f"quantity {text!r}", row(qty=text), rule))
        cases.append(one_bad_row("times", f"time {text!r}", row(at=text), "missing_time"))
        cases.append(one_bad_row("ids", f"order {text!r}", row(order=text), "missing_order_id"))
        cases.append(one_bad_row("ids", f"item {text!r}", row(item=text), "missing_item_id"))
    cases += [one_bad_row("times", f"time {text!r}", row(at=text), "bad_time") for text in NO_TIMES]
    cases += [one_bad_row("times", f"time {text!r}", row(at=text), "time_too_early") for text in TOO_EARLY]
    cases += [one_bad_row("times", f"time {text!r}", row(at=text), "time_in_future") for text in IN_FUTURE]
    for column in ("order", "customer", "item"):
        rule = {"order": "long_order_id", "customer": "long_user_id", "item": "long_item_id"}[column]
        for length in (257, 10_240):
            long = row(**{column: "x" * length})
            cases.append(one_bad_row("ids", f"{column} of {length} characters", long, rule))
    cases += [one_good_row("ids", f"item {text[:12]!r}", row(item=text), "item_id", text) for text in ODD_IDS]
    cases += [one_good_row("injection", f"item {text!r}", row(item=text), "item_id", text) for text in INJECTIONS]
    cases.append(one_good_row("ids", "blanks around an id are no part of it", row(item="  corn\t"), "item_id", "corn"))
    cases.append(one_good_row("ids", "no customer", row(customer=""), "user_id", None))
    for text, value in (
        ("1e3", 1000.0),
        ("+3", 3.0),
        (" 4 ", 4.0),
        ("007", 7.0),
        (".5", 0.5),
        ("999999999999", 999999999999.0),
    ):
        cases.append(one_good_row("numbers", f"quantity {text!r}", row(qty=text), "quantity", value))
    return cases + shape_cases()


def shape_cases() -> list[Case]:
    """Rows of the wrong shape."""
    bad = {
        "too few columns": "@2,cid,corn\n",
        "one column": "@2\n",
        "one column too few": "@2,cid,corn,1,2.00\n",
        "one column too many": row().rstrip() + ",x\n",
        "many columns too many": row().rstrip() + ",x" * 50 + "\n",
        "text behind a quote": '@2,cid,"corn"x,1,2.00,2024-01-05\n',
        "a comment": "# exported by shop\n",
        "a total at the end": "TOTAL,,\n",
        "another delimiter": row().replace(",", ";"),
        "tabs": row().replace(",", "\t"),
        "markup": "<br>\n",
        "dots": "...\n",
    }
    cases = [one_bad_row("row shape", name, text, UNREADABLE) for name, text in bad.items()]
    cases.append(one_bad_row("row shape", "the header again", "order,customer,item,qty,price,at\n", "bad_quantity"))
    cases.append(
        one_bad_row("row shape", "columns moved by one", "x," + row().rstrip().rsplit(",", 1)[0] + "\n", "bad_quantity")
    )
    cases.append(one_bad_row("row shape", "quantity and time swapped", row(qty="2024-01-05", at="1"), "bad_quantity"))
    cases.append(one_bad_row("row shape", "only delimiters", ",,,,,\n", "missing_time"))
    return cases
