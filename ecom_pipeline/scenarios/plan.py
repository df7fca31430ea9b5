"""A scenario as a person writes it: which products, on which days, at which price or discount, or without a promotion.

YAML:

    name: half price week
    changes:
      - {category: Garden, from: 2026-11-02, to: 2026-11-08, discount: 0.5}
      - {item: P00012, from: 2026-11-02, to: 2026-11-30, price: 7.90}
      - {from: 2026-11-23, to: 2026-11-30, discount: 0}      # all products: no promotion

CSV has the columns item, category, from, to, price, discount; its name is that of the file.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

COLUMNS = "item, category, from, to, price, discount"


class ScenarioError(Exception):
    """A scenario cannot be read or forecast; the message says where and what to do."""


class Change(BaseModel):
    """One change of the plan; without `item` and `category` it is of all products. Later changes win."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    item: str | None = None
    category: str | None = None
    first_day: date = Field(alias="from")
    last_day: date = Field(alias="to")
    price: float | None = Field(None, gt=0)
    discount: float | None = Field(None, ge=0, lt=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> "Change":
        if self.item is not None and self.category is not None:
            raise ValueError("name an item or a category, not both")
        if (self.price is None) == (self.discount is None):
            raise ValueError("give a price or a discount (a share such as 0.2; 0 takes promotions away), one of them")
        if self.price is not None and self.item is None:
            raise ValueError("a price needs an item; for categories and all products give a discount")
        if self.last_day < self.first_day:
            raise ValueError(f"to ({self.last_day}) is before from ({self.first_day})")
        return self


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name and changes, in the order in which they are made."""

    name: str
    changes: tuple[Change, ...]


def read_scenario(file: Path, *, name: str | None = None) -> Scenario:
    """The scenario in a YAML or CSV file.

    Raises:
        ScenarioError: naming the file, the change or line, and what would be right.
    """
    if not file.is_file():
        raise ScenarioError(f"{file}: no such scenario file")
    if file.suffix.lower() in (".yaml", ".yml"):
        told, entries = _of_yaml(file)
    elif file.suffix.lower() == ".csv":
        told, entries = file.stem, _of_csv(file)
    else:
        raise ScenarioError(f"{file}: a scenario is a .yaml or a .csv file")
    changes = tuple(_change(file, where, entry) for where, entry in entries)
    if not changes:
        raise ScenarioError(f"{file}: holds no change; a scenario without one is the plan itself")
    return Scenario(name=name or told, changes=changes)


def _of_yaml(file: Path) -> tuple[str, list[tuple[str, Mapping[str, Any]]]]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not isinstance(document.get("changes"), list):
        raise ScenarioError(f"{file}: needs `changes:`, a list; and may have `name:`")
    odd = sorted(set(document) - {"name", "changes"})
    if odd:
        raise ScenarioError(f"{file}: {', '.join(map(repr, odd))} is unknown; a scenario has name and changes")
    entries = [(f"change {number}", entry) for number, entry in enumerate(document["changes"], start=1)]
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise ScenarioError(f"{file}, {where}: is no mapping such as {{item: A1, from: 2026-11-02, …}}")
    return str(document.get("name") or file.stem), entries


def _of_csv(file: Path) -> list[tuple[str, Mapping[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        unknown = sorted(set(reader.fieldnames or ()) - set(COLUMNS.split(", ")))
        if unknown:
            raise ScenarioError(f"{file}, line 1: unknown columns {', '.join(unknown)}; there are {COLUMNS}")
        return [
            (f"line {reader.line_num}", {key: value for key, value in row.items() if value not in (None, "")})
            for row in reader
        ]


def _change(file: Path, where: str, entry: Mapping[str, Any]) -> Change:
    try:
        return Change.model_validate(entry)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the change'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise ScenarioError(f"{file}, {where}: {told}") from None
