"""Lets the disk run full in each phase of a night: the home lies on a tmpfs, and a step finds no room in it.

    python -m benchmarks.disk_full --home HOME --night 2011-02-09 --work /tmp/disk

HOME is a shop home whose night has never been disturbed (such as `base` of benchmarks.crashes). A night is run for each
of the steps below, and as the step begins, what is left of the disk is filled up, but for `--left` KiB. Then the
published file is the old one or the new one, whole; the doctor finds nothing damaged; the error says that there is no
room; and with room again the night ends with the tables of one never disturbed. Mounting needs the right to.
"""

import argparse
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Literal

from benchmarks.crashes import in_child, preload, published_digests, warehouse_digests, whole_night
from ecom_pipeline.cli.failures import full_disk
from ecom_pipeline.settings import Home

Phase = Literal["ingest", "features", "training", "scoring", "publishing"]
STEPS: dict[str, Phase] = {
    "raw": "ingest",
    "core": "ingest",
    "feat_user_events": "features",
    "feat_sales_daily": "features",
    "sales_forecaster": "training",
    "next_item": "training",
    "sales_forecasts": "scoring",
    "recommendations": "scoring",
    "purchase_predictions": "scoring",
    "analytics": "publishing",
    "report": "publishing",
}
FILLER = "filler"
AROUND = 64 << 20
"""Bytes of the disk beyond what the undisturbed night leaves, so that it is full only when it is filled."""


def main() -> None:
    """Run a night for each step and each room that is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--night", type=date.fromisoformat, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--left", type=int, nargs="+", default=[0, 256], help="KiB that are left, in turn")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    arguments = parser.parse_args()
    preload()
    mount = arguments.work / "disk"
    mount.mkdir(parents=True, exist_ok=True)
    reference = arguments.work / "reference"
    shutil.rmtree(reference, ignore_errors=True)
    shutil.copytree(arguments.home, reference)
    in_child(whole_night, reference, arguments.night)
    old = in_child(published_digests, Home(arguments.home).published_file)
    new = in_child(published_digests, Home(reference).published_file)
    tables = in_child(warehouse_digests, Home(reference).warehouse_file)
    size = size_of(reference) + AROUND
    rounds = lost = failed = 0
    for left in arguments.left:
        for step in arguments.steps:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)], check=True)
            try:
                shutil.copytree(arguments.home, mount / "home")
                found, said = one_round(
                    mount, arguments.night, step=step, left=left << 10, old=old, new=new, tables=tables
                )
            finally:
                subprocess.run(["umount", "--lazy", str(mount)], check=True)
            rounds, failed, lost = rounds + 1, failed + bool(said), lost + bool(found)
            print(
                f"{STEPS[step]:10s} {step:20s} {left:4d} KiB  {(said or 'the night ended')[:100]:100s}  "
                f"{'; '.join(found) or 'nothing lost'}",
                flush=True,
            )
    print(f"rounds: {rounds}; nights that ran out of room: {failed}; rounds with anything lost: {lost}")
    sys.exit(1 if lost else 0)


def one_round(
    mount: Path,
    night: date,
    *,
    step: str,
    left: int,
    old: dict[str, str],
    new: dict[str, str],
    tables: dict[str, str],
) -> tuple[list[str], str]:
    """What was lost, and what the night said as it failed (nothing, if it ended)."""
    home = Home(mount / "home")
    said, says_so = in_child(night_without_room, home.root, night, step, left)
    lost = []
    if said and not says_so:
        lost.append("the error does not say that there is no room")
    published = in_child(published_digests, home.published_file)
    if published not in (old, new) or (not said and published != new):
        lost.append("the published file is neither old nor new")
    (mount / FILLER).unlink()
    lost += in_child(damage, home.root)
    try:
        in_child(whole_night, home.root, night)
        if in_child(published_digests, home.published_file) != new:
            lost.append("published tables differ after the next night")
        if in_child(warehouse_digests, home.warehouse_file) != tables:
            lost.append("tables of the warehouse differ after the next night")
    except RuntimeError as error:
        lost.append(f"the next night failed: {error}")
    return lost, said


def night_without_room(root: Path, night: date, step: str, left: int) -> tuple[str, bool]:
    """Run the night; as `step` begins, the disk is filled up but for `left` bytes.

    What was said as it failed (nothing, if it ended), and whether a command would say by it that there is no room.
    """
    from ecom_pipeline.orchestration.observing import SilentObserver
    from ecom_pipeline.orchestration.running import run_night

    class Filler(SilentObserver):
        def step_started(self, begun: str) -> None:
            if begun == step:
                fill(root.parent / FILLER, left=left)

    try:
        run = run_night(Home(root), night, observer=Filler())
    except Exception as error:
        return f"{type(error).__name__}: {error}".replace("\n", " "), full_disk(error) is not None
    said = "; ".join(f"{failure.step}: {failure.message}" for failure in run.failures).replace("\n", " ")
    return said, full_disk(RuntimeError(said)) is not None


def fill(file: Path, *, left: int) -> None:
    """Write the file until no more than `left` bytes are free beside it."""
    with file.open("wb") as stream:
        while (free := shutil.disk_usage(file.parent).free - left) > 0:
            os.posix_fallocate(stream.fileno(), stream.seek(0, os.SEEK_END), free)


def damage(root: Path) -> list[str]:
    """What the doctor finds damaged."""
    from ecom_pipeline.operations.doctor import examine

    return [f"{found.part}: {found.what}" for found in examine(Home(root)) if found.level == "damaged"]


def size_of(folder: Path) -> int:
    """Bytes on the disk, whole blocks."""
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
