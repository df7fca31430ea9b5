"""Writing the page: data, style and scripts in one HTML file that loads nothing from anywhere.

Names of products and users are the shop's text and may hold anything. In the page's text the template escapes them;
in the embedded data no `<` is left, so that no script can end early; and a Content-Security-Policy by hash lets the
browser run our two scripts and no other.
"""

import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from ecom_pipeline.report.queries import Publication, open_publication
from ecom_pipeline.report.sections import first_day, sections_of
from ecom_pipeline.settings import Home

REPORT_NAME = "report.html"
ARCHIVE = "reports"
NIGHTS = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].html"
SCRIPTS = ("format.js", "controls.js", "charts.js", "sections.js", "people.js", "start.js")
SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$", "JPY": "¥", "INR": "₹", "BRL": "R$"}


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report that was written: where, as of which night, its size in bytes, and seconds that it took."""

    file: Path
    as_of: date
    bytes: int
    seconds: float
    left_out: dict[str, str]
    headline: tuple[tuple[str, str, str, str], ...]
    """Label, figure, and its changes on the week before and on last year, as the page says them."""


def report_beside(published: Path) -> Path:
    """Where the newest report lies: beside the published file."""
    return published.with_name(REPORT_NAME)


def archived_report(home: Home, as_of: date) -> Path:
    """Where the report of one night is kept."""
    return home.root / ARCHIVE / f"{as_of.isoformat()}.html"


def nightly_report(home: Home, *, as_of: date | None = None, currency: str | None = None) -> ReportFile:
    """Write the report of one of a home's nights (None: the newest) to where it is kept for that night; that of the
    newest also lies beside the published file, and is the file that is returned.

    As many nights' reports are kept as nights in the published file (the setting keep_nights).

    Raises:
        ReportError: if nothing was published yet, or not that night.
    """
    with open_publication(home.published_file, as_of) as publication:
        night, is_newest = publication.as_of, publication.is_newest
    kept = archived_report(home, night)
    if is_newest:
        written = write_report(home.published_file, report_beside(home.published_file), currency=currency)
        _put(kept, written.file.read_bytes())
    else:
        written = write_report(home.published_file, kept, as_of=night, currency=currency)
    for old in sorted(kept.parent.glob(NIGHTS))[: -home.settings().keep_nights]:
        old.unlink()
    return written


def write_report(
    published: Path, target: Path, *, as_of: date | None = None, currency: str | None = None
) -> ReportFile:
    """Write the report of a night in `published` (None: the newest) to `target`, in one step.

    `currency` is the ISO 4217 code that amounts are shown with; without it they are plain numbers.

    Raises:
        ReportError: if there is no published file, or the night is not in it.
    """
    started = time.monotonic()
    with open_publication(published, as_of) as publication:
        data = _data(publication, currency)
        html = _render(data)
    content = html.encode("utf-8")
    _put(target, content)
    return ReportFile(
        file=target,
        as_of=publication.as_of,
        bytes=len(content),
        seconds=round(time.monotonic() - started, 3),
        left_out={name: section["left_out"] for name, section in data["sections"].items() if "left_out" in section},
        headline=_headline(data),
    )


def embedded(data: Any) -> str:
    """Data as JSON that may stand inside `<script>`: nothing in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_text)
    for special in "<>&\u2028\u2029":
        text = text.replace(special, f"\\u{ord(special):04x}")
    return text


def _data(publication: Publication, currency: str | None) -> dict[str, Any]:
    return {
        "as_of": publication.as_of,
        "first_day": first_day(publication),
        "about": publication.about,
        "is_newest": publication.is_newest,
        "money": _money(currency),
        "sections": sections_of(publication),
    }


def _headline(data: dict[str, Any]) -> tuple[tuple[str, str, str, str], ...]:
    from ecom_pipeline.report.words import NOTHING, change, figure

    def moved(one: dict[str, Any], before: str) -> str:
        found = change(one["value"], one[before], one["unit"])
        return f"{found['direction']} {found['text']}" if found is not None else NOTHING

    return tuple(
        (
            one["label"],
            figure(one["value"], one["unit"], data["money"]),
            moved(one, "last_week"),
            moved(one, "last_year"),
        )
        for one in data["sections"]["headline"].get("figures", ())
    )


def _money(currency: str | None) -> dict[str, str]:
    if currency is None:
        return {"before": "", "after": ""}
    if currency in SYMBOLS:
        return {"before": SYMBOLS[currency], "after": ""}
    return {"before": "", "after": f" {currency}"}


def _render(data: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from ecom_pipeline.report.words import FILTERS

    environment = Environment(
        loader=PackageLoader("ecom_pipeline.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    library = _text("vendor", "echarts.min.js")
    own = "(() => {\n'use strict';\n" + "\n".join(_text("template", name) for name in SCRIPTS) + "\n})();\n"
    return environment.get_template("report.html.j2").render(
        data=data,
        sections=data["sections"],
        money=data["money"],
        style=_text("template", "report.css"),
        library=library,
        script=own,
        hashes=[_hash(library), _hash(own)],
        embedded=embedded(data),
    )


def _text(folder: str, name: str) -> str:
    """A file of the page; line ends are as in the page, since the browser hashes what it reads."""
    text = files("ecom_pipeline.report").joinpath(folder, name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _as_text(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"a report cannot hold a {type(value).__name__}")


def _put(target: Path, content: bytes) -> None:
    """Write the file whole, then move it into place: a reader sees the old page or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.building")
    try:
        building.write_bytes(content)
        building.replace(target)
    finally:
        building.unlink(missing_ok=True)
