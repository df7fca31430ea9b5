"""Documents that people write: errors name the line and the mend, and no text makes anything but those errors."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from ecom_pipeline.documents import DocumentError, parse_document, read_document
from ecom_pipeline.settings import Settings


class Feed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    files: list[str] = Field(min_length=1)
    kind: Literal["csv", "jsonl"] = "csv"
    columns: dict[str, str] = {}


class Shop(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    feeds: list[Feed]
    owner: Feed | int | None = None


GOOD = """title: A shop
feeds:
  - name: orders
    files: [a.csv]
  - name: browse
    kind: jsonl
    files:
      - b.jsonl
"""


def parse(text: str) -> Shop:
    return parse_document(text, Shop, name="shop.yaml")


def test_a_good_document_is_read() -> None:
    assert parse(GOOD).feeds[1] == Feed(name="browse", kind="jsonl", files=["b.jsonl"])


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (GOOD.replace("kind: jsonl", "kind: xml"), ["shop.yaml:6: feeds.1.kind: ", "'csv' or 'jsonl'"]),
        (GOOD.replace("      - b.jsonl", "      - [1]"), ["shop.yaml:8: feeds.1.files.0: ", "valid string"]),
        (GOOD.replace("kind: jsonl", "king: jsonl"), ["shop.yaml:6: feeds.1.king: no such key here"]),
        (GOOD.replace("kind: jsonl", "zzzz: jsonl"), ["keys here are name, files, kind, columns"]),
        (GOOD + "tilte: x\n", ["shop.yaml:9: tilte: no such key here; did you mean title?"]),
        (GOOD.replace("title: A shop\n", ""), ["shop.yaml:1: title: ", "required"]),
        (GOOD.replace("    files: [a.csv]\n", ""), ["shop.yaml:3: feeds.0.files: ", "required"]),
        (GOOD + "title: Again\n", ["shop.yaml:9: the key 'title' is given twice"]),
        (GOOD + "  x: [1\n", ["shop.yaml:", "not valid YAML"]),
        (GOOD.replace("[a.csv]", "\t[a.csv"), ["shop.yaml:", "not valid YAML"]),
        ("", ["shop.yaml: the document is empty; it needs the keys title, feeds"]),
        ("# only a remark\n", ["shop.yaml: the document is empty"]),
        ("- title: x\n", ["shop.yaml:1: expected a mapping with the keys title, feeds, found list"]),
        ("just text", ["expected a mapping", "found str"]),
        (GOOD + "owner: {name: x}\n", ["shop.yaml:9: owner."]),
        ("title: x\n---\ntitle: y\n", ["shop.yaml:", "not valid YAML"]),
        ("title: !!python/object/apply:os.system ['true']\nfeeds: []\n", ["shop.yaml:1", "not valid YAML"]),
        ("title: 2024-13-45\nfeeds: []\n", ["shop.yaml", "month must be in 1..12"]),
        ("&a title: *a\nfeeds: *b\n", ["shop.yaml:2", "not valid YAML", "undefined alias"]),
        ("? [a, b]\n: x\n", ["shop.yaml:1"]),
        ("title: x\nfeeds: []\n1: y\n", ["shop.yaml:3: 1: "]),
        ("title: a\0b\n", ["shop.yaml", "not valid YAML"]),
    ],
)
def test_errors_name_the_line_and_what_would_be_right(text: str, messages: list[str]) -> None:
    with pytest.raises(DocumentError) as error:
        parse(text)
    for message in messages:
        assert message in str(error.value)


def test_every_error_of_a_document_is_reported_at_once() -> None:
    with pytest.raises(DocumentError) as error:
        parse("feeds:\n  - name: 1\n    files: []\n")
    assert len(str(error.value).splitlines()) == 3


def test_a_missing_file_a_folder_and_other_encodings_are_errors_too(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere\.yaml: no such file"):
        read_document(tmp_path / "nowhere.yaml", Shop)
    with pytest.raises(DocumentError, match="is a folder"):
        read_document(tmp_path, Shop)
    (tmp_path / "latin.yaml").write_bytes("title: Café".encode("latin-1"))
    with pytest.raises(DocumentError, match=r"latin\.yaml: not UTF-8 text at byte 10"):
        read_document(tmp_path / "latin.yaml", Shop)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_document(tmp_path / "bom.yaml", Shop).title == "A shop"


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    levels = [f"a{n}: &a{n} [{', '.join(['*a' + str(n - 1)] * 10)}]" for n in range(1, 12)]
    with pytest.raises(DocumentError, match="aliases"):
        parse("\n".join(["a0: &a0 [x]", *levels, "title: x", "feeds: []"]))


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(DocumentError):
        parse("title: " + "[" * 5000)


YAMLISH = st.text(alphabet=st.sampled_from("abt:01-[]{}&*!|>?#'\"%@,\n \t.~\0é"), max_size=60)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=12,
)


@given(text=st.text(max_size=60) | YAMLISH)
@example(text="title: 0x")
@example(text="<<: 1")
@example(text="=")
@example(text="? a\n? b")
def test_any_text_is_a_document_or_a_document_error(text: str) -> None:
    for schema in (Shop, Settings):
        try:
            parse_document(text, schema, name="shop.yaml")
        except DocumentError as error:
            assert str(error).startswith("shop.yaml")


@example(values={"owner": {"\r": None}})
@given(values=st.dictionaries(st.sampled_from(["title", "feeds", "owner", *Settings.model_fields]), VALUES, max_size=4))
def test_any_values_are_a_document_or_errors_with_lines(values: dict[str, Any]) -> None:
    text = yaml.safe_dump(values, allow_unicode=True)
    for schema in (Shop, Settings):
        try:
            parse_document(text, schema, name="shop.yaml")
        except DocumentError as error:
            for line in str(error).splitlines():
                assert line.startswith("shop.yaml:"), line
                number = int(line.split(":")[1])
                assert 1 <= number <= len(re.split("\r\n|[\n\r\x85\u2028\u2029]", text)), "what YAML calls lines"
