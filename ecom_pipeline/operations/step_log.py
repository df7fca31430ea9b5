"""The log of steps: one JSON object a line in logs/ of the home, for whoever collects logs.

Each line says the run, the night, the asset (the step), what happened and, at the end, what it cost. Errors are told in
their first line: no rows, no settings, no addresses.
"""

import json
import os
from datetime import UTC, date, datetime
from typing import Literal

from ecom_pipeline.settings import Home

Event = Literal["started", "succeeded", "failed"]
LONGEST_ERROR = 500


def log_step(
    home: Home,
    event: Event,
    *,
    run_id: str,
    as_of: date | None,
    asset: str,
    seconds: float | None = None,
    rows: int | None = None,
    error: BaseException | None = None,
) -> None:
    """Append one line to logs/steps-YYYY-MM.jsonl, in one write, so that lines of several processes never mix."""
    now = datetime.now(UTC)
    line: dict[str, str | int | float | None] = {
        "at": now.isoformat(timespec="milliseconds"),
        "level": "error" if event == "failed" else "info",
        "run": run_id,
        "as_of": as_of.isoformat() if as_of is not None else None,
        "asset": asset,
        "event": event,
        "pid": os.getpid(),
    }
    if seconds is not None:
        line["seconds"] = round(seconds, 3)
    if rows is not None:
        line["rows"] = rows
    if error is not None:
        line["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST_ERROR]
    file = home.root / "logs" / f"steps-{now:%Y-%m}.jsonl"
    file.parent.mkdir(exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (json.dumps(line, ensure_ascii=False) + "\n").encode())
    finally:
        os.close(descriptor)
