"""Scenario files: what is understood, and what is refused with the place and the mend."""

from datetime import date
from pathlib import Path

import pytest

from ecom_pipeline.scenarios.plan import ScenarioError, read_scenario

GOOD = """
name: half price week
changes:
  - {category: Garden, from: 2026-11-02, to: 2026-11-08, discount: 0.5}
  - {item: P1, from: 2026-11-02, to: 2026-11-30, price: 7.90}
  - {from: 2026-11-23, to: 2026-11-30, discount: 0}
"""


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "half price week.csv").write_text(
        "item,category,from,to,price,discount\n,Garden,2026-11-02,2026-11-08,,0.5\n"
        "P1,,2026-11-02,2026-11-30,7.90,\n,,2026-11-23,2026-11-30,,0\n",
        encoding="utf-8",
    )
    scenario = read_scenario(tmp_path / "a.yaml")
    assert scenario == read_scenario(tmp_path / "half price week.csv")
    assert scenario.name == "half price week"
    assert [change.first_day for change in scenario.changes][:2] == [date(2026, 11, 2)] * 2
    assert read_scenario(tmp_path / "a.yaml", name="other").name == "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("changes: []", "holds no change"),
        ("hello", "needs `changes:`"),
        ("changes: [1]", "change 1: is no mapping"),
        ("changes: [{from: 2026-11-02, to: 2026-11-03}]", "change 1: the change: give a price or a discount"),
        ("changes: [{from: 2026-11-04, to: 2026-11-03, discount: 0.1}]", r"to \(2026-11-03\) is before from"),
        ("changes: [{from: 2026-11-02, to: 2026-11-03, price: 3}]", "a price needs an item"),
        ("changes: [{item: a, category: b, from: 2026-11-02, to: 2026-11-03, discount: 0.1}]", "an item or a category"),
        ("changes: [{from: 2026-11-02, to: 2026-11-03, discount: 20}]", "discount: Input should be less than 1"),
        ("changes: [{from: soon, to: 2026-11-03, discount: 0.2}]", "from: Input should be a valid date"),
        ("changes: [{from: 2026-11-02, to: 2026-11-03, discont: 0.2}]", "discont: Extra inputs"),
        ("chnges: []\nchanges: []", "'chnges' is unknown"),
        ("changes: [", "cannot be read as YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=message):
        read_scenario(file)


def test_a_csv_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text(
        "item,from,to,discount\nP1,2026-11-02,2026-11-03,0.1\nP1,2026-11-02,2026-11-03,2\n", encoding="utf-8"
    )
    with pytest.raises(ScenarioError, match=r"s\.csv, line 3: discount"):
        read_scenario(file)
    file.write_text("sku,from,to,discount\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match="line 1: unknown columns sku"):
        read_scenario(file)
    with pytest.raises(ScenarioError, match="no such scenario file"):
        read_scenario(tmp_path / "none.csv")
