"""The landing sensor: files that are new, changed or gone start a run that loads them, once nobody writes any more."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from ecom_pipeline.settings import Home

INTERVAL_SECONDS = 30
QUIET_SECONDS = 15.0
"""A file that was touched more recently than this counts as still being written."""
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Look:
    """What one look at landing found: a fingerprint of all files, and the files that are still being written."""

    fingerprint: str
    files: int
    being_written: tuple[str, ...]


def look_at(landing: Path, *, now: float) -> Look:
    """Names, sizes and times of the files below `landing` at the time `now` (seconds since 1970).

    Whether a file is being written is told from the time that the kernel keeps (ctime), which copying with preserved
    times does not set back. Hidden files are left out: they are how others write before they rename.
    """
    digest = hashlib.sha256()
    being_written: list[str] = []
    count = 0
    for file in sorted(landing.rglob("*")):
        below = file.relative_to(landing)
        if any(part.startswith(".") for part in below.parts) or not file.is_file():
            continue
        status = file.stat()
        count += 1
        digest.update(f"{below.as_posix()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        if 0 <= now - status.st_ctime < QUIET_SECONDS:
            being_written.append(below.as_posix())
    return Look(fingerprint=digest.hexdigest(), files=count, being_written=tuple(being_written))


def landing_sensor(home: Home, job_name: str, *, default_status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """Runs `job_name` when the landing folder has changed and has come to rest."""

    @dg.sensor(
        name="landing_sensor",
        job_name=job_name,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=default_status,
        description="Loads files that are new or changed in landing. Files that are still being written are left "
        "alone until they come to rest; nothing else is loaded beside them.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not home.landing.is_dir():
            return dg.SkipReason(f"There is no folder {home.landing} yet.")
        look = look_at(home.landing, now=time.time())
        if look.fingerprint == context.cursor:
            return dg.SkipReason(f"Nothing changed among the {look.files} files in landing.")
        if look.being_written:
            shown = ", ".join(look.being_written[:NAMES_SHOWN])
            more = len(look.being_written) - NAMES_SHOWN
            return dg.SkipReason(f"Still being written: {shown}{f' and {more} more' if more > 0 else ''}.")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=look.fingerprint)], cursor=look.fingerprint)

    return sensor
