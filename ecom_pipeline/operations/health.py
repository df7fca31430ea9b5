"""Health of a shop home in one look, for people and for monitors. It reads the published file alone.

Well, warning or critical; the same as metrics in the text format of Prometheus.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from ecom_pipeline.operations.doctor import FREE_FACTOR, LEAST_FREE_BYTES
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import read_profile

GRACE = timedelta(hours=6)
"""After the start of a night, before it counts as late."""
STANDS_STILL = "sample"
"""The profile whose data, and so whose nights, stand still."""
_LAST_ROWS = {"orders": ("sales_daily", "date"), "browse": ("user_events", "event_date")}


class Level(IntEnum):
    """As monitors rank them; also the exit status of `ecom-pipeline health`."""

    WELL = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that was looked at."""

    name: str
    level: Level
    sentence: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure for Prometheus."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """All symptoms, worst first, and all metrics."""

    symptoms: tuple[Symptom, ...]
    metrics: tuple[Metric, ...]

    @property
    def level(self) -> Level:
        """The worst of the symptoms."""
        return max((symptom.level for symptom in self.symptoms), default=Level.WELL)


def health_of(home: Home, *, now: datetime | None = None) -> Health:
    """Last night, freshness of each feed, refused files, failing checks, champions, disk.

    Raises:
        DocumentError: if settings or profile cannot be used.
    """
    settings = home.settings()
    zone = ZoneInfo(read_profile(settings.profile, base=home.root).shop.time_zone)
    clock = now if now is not None else datetime.now(UTC)
    found: list[Symptom | Metric] = list(_disk(home))
    if not home.published_file.exists():
        found.append(Symptom("night", Level.CRITICAL, "no night was ever published"))
    else:
        try:
            with duckdb.connect(str(home.published_file), read_only=True) as connection:
                found += _published(connection, settings, clock=clock, zone=zone)
        except duckdb.Error as error:
            what = f"the published file cannot be read ({str(error).splitlines()[0]}); see ecom-pipeline doctor"
            found.append(Symptom("published", Level.CRITICAL, what))
    symptoms = tuple(sorted((one for one in found if isinstance(one, Symptom)), key=lambda one: -one.level))
    worst = max((symptom.level for symptom in symptoms), default=Level.WELL)
    state = Metric("health", "0 well, 1 warning, 2 critical.", float(worst))
    return Health(symptoms, (state, *(one for one in found if isinstance(one, Metric))))


def as_prometheus(metrics: Iterable[Metric]) -> str:
    """The metrics in Prometheus' text format, each name with its help and type once."""
    lines: list[str] = []
    told: set[str] = set()
    for metric in metrics:
        name = f"ecom_pipeline_{metric.name}"
        if name not in told:
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} gauge"]
            told.add(name)
        labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in metric.labels)
        lines.append(f"{name}{{{labels}}} {metric.value:.15g}" if labels else f"{name} {metric.value:.15g}")
    return "\n".join(lines) + "\n"


def write_prometheus(metrics: Iterable[Metric], file: Path) -> None:
    """Write the metrics to `file` in one step, as the textfile collector of the node exporter wants it."""
    incoming = file.with_name(f".{file.name}.{os.getpid()}")
    incoming.write_text(as_prometheus(metrics), encoding="utf-8")
    incoming.replace(file)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _published(
    connection: duckdb.DuckDBPyConnection, settings: Settings, *, clock: datetime, zone: ZoneInfo
) -> Iterator[Symptom | Metric]:
    ((last, published_at),) = connection.execute("SELECT as_of, published_at FROM about").fetchall()
    if last is None:
        yield Symptom("night", Level.CRITICAL, "the published file holds no night")
        return
    yield from _night(last, published_at, settings, clock=clock, zone=zone)
    yield from _feeds(connection, last)
    yield from _checks(connection, last)
    yield from _champions(connection, settings, last)


def _night(
    last: date, published_at: datetime, settings: Settings, *, clock: datetime, zone: ZoneInfo
) -> Iterator[Symptom | Metric]:
    local = clock.astimezone(zone)
    starts = datetime.combine(local.date(), time.fromisoformat(settings.schedule_time), tzinfo=zone)
    due = local.date() - timedelta(days=1 if local >= starts + GRACE else 2)
    late = 0 if settings.profile == STANDS_STILL else max((due - last).days, 0)
    level = Level.WELL if late == 0 else Level.WARNING if late == 1 else Level.CRITICAL
    behind = "" if late == 0 else f"; the night of {due} should be there ({late} behind)"
    yield Symptom("night", level, f"the last night published is that of {last}{behind}")
    yield Metric("nights_late", "Nights that should have been published and were not.", late)
    when = published_at.replace(tzinfo=UTC).timestamp()
    yield Metric("last_published_timestamp_seconds", "When the last night was published.", when)


def _feeds(connection: duckdb.DuckDBPyConnection, last: date) -> Iterator[Symptom | Metric]:
    feeds = connection.execute(
        "SELECT feed, count(*) FILTER (WHERE status = 'refused') FROM ingest_files GROUP BY feed ORDER BY feed"
    ).fetchall()
    for feed, refused in feeds:
        labels = (("feed", str(feed)),)
        yield Metric("files_refused", "Files in landing that cannot be read.", refused, labels)
        if refused:
            what = f"{feed}: {refused} files are refused; ingest_files says why"
            yield Symptom(f"files of {feed}", Level.WARNING, what)
        newest = _newest_row(connection, str(feed))
        if newest is not None:
            age = (last - newest).days
            yield Metric("feed_age_days", "Days from the last row of the feed to the last night.", age, labels)


def _newest_row(connection: duckdb.DuckDBPyConnection, feed: str) -> date | None:
    if feed not in _LAST_ROWS:
        return None
    name, column = _LAST_ROWS[feed]
    more = " WHERE quantity > 0" if name == "sales_daily" else ""
    ((newest,),) = connection.execute(f"SELECT CAST(max({column}) AS DATE) FROM {name}{more}").fetchall()
    return newest


def _checks(connection: duckdb.DuckDBPyConnection, last: date) -> Iterator[Symptom | Metric]:
    failing = connection.execute(
        "SELECT severity, sentence FROM validation_results WHERE as_of = ? AND NOT success ORDER BY severity, sentence",
        [last],
    ).fetchall()
    for severity in ("error", "warn"):
        sentences = [sentence for level, sentence in failing if level == severity]
        yield Metric(
            "checks_failing", "Checks of the last night that failed.", len(sentences), (("severity", severity),)
        )
        level = Level.CRITICAL if severity == "error" else Level.WARNING
        yield from (Symptom("check", level, sentence) for sentence in sentences)


def _champions(connection: duckdb.DuckDBPyConnection, settings: Settings, last: date) -> Iterator[Symptom | Metric]:
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT model, max(data_cutoff) FILTER (WHERE decision = 'promoted'), max(data_cutoff) FROM model_versions "
        "GROUP BY model ORDER BY model"
    ).fetchall()
    for model, promoted, trained in rows:
        if promoted is None:
            yield Symptom(f"model {model}", Level.WARNING, f"{model}: no version was promoted; the baseline stands in")
        else:
            age = (last - promoted).days
            yield Metric(
                "champion_age_days", "Days from the champion's last data to the last night.", age, (("model", model),)
            )
        untrained, wanted = (last - trained).days, settings.retrain_after_days
        if untrained > 2 * wanted:
            what = f"{model}: was trained last {untrained} days before the night; retrain_after_days is {wanted}"
            yield Symptom(f"model {model}", Level.WARNING, what)


def _disk(home: Home) -> Iterator[Symptom | Metric]:
    free = shutil.disk_usage(home.root).free
    yield Metric("disk_free_bytes", "Bytes free where the home lies.", free)
    sizes = [file.stat().st_size for file in (home.published_file, home.warehouse_file) if file.exists()]
    wanted = max(LEAST_FREE_BYTES, FREE_FACTOR * max(sizes, default=0))
    if free < wanted:
        level = Level.CRITICAL if free < wanted / 4 else Level.WARNING
        yield Symptom("disk", level, f"{free / 2**30:.1f} GiB are free, {wanted / 2**30:.1f} GiB are wanted")
