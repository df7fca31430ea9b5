"""Lets the disk run full in a night: the home lies on a small tmpfs, and each round leaves it less room.

    python -m benchmarks.disk_full --home HOME --night 2011-02-09 --rounds 12 --work /tmp/disk

HOME is a shop home whose night has never been disturbed (such as `base` of benchmarks.crashes). A night that needs N
bytes is run with room for 0, 1/rounds, 2/rounds, … of N, so that the disk runs full in phase after phase. After each
night that failed the published file is the old one, whole, the doctor finds nothing damaged, the error says that there
is no room, and with room again the night ends with the tables of one never disturbed. Mounting needs the right to.
"""

import argparse
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.crashes import in_child, preload, published_digests, warehouse_digests, whole_night
from ecom_pipeline.settings import Home

HEADROOM = 1 << 20
ROOM_WORDS = ("No space left", "disk is full", "disk full", "Disk full", "ENOSPC", "enough space", "not enough")


def main() -> None:
    """Run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--night", type=date.fromisoformat, required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    preload()
    mount = arguments.work / "disk"
    mount.mkdir(parents=True, exist_ok=True)
    reference = arguments.work / "reference"
    shutil.rmtree(reference, ignore_errors=True)
    shutil.copytree(arguments.home, reference)
    before = size_of(reference)
    in_child(whole_night, reference, arguments.night)
    needed = size_of(reference) - before
    old = in_child(published_digests, Home(arguments.home).published_file)
    new = in_child(published_digests, Home(reference).published_file)
    tables = in_child(warehouse_digests, Home(reference).warehouse_file)
    print(f"the home has {before / 2**20:.1f} MiB; the night adds {needed / 2**20:.1f} MiB", flush=True)
    lost = failed = 0
    for number in range(arguments.rounds):
        room = before + HEADROOM + round(3 * needed * number / arguments.rounds)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(mount)], check=True)
        try:
            found, said = one_round(mount, arguments.home, arguments.night, old=old, new=new, tables=tables)
        finally:
            subprocess.run(["umount", "--lazy", str(mount)], check=True)
        failed += bool(said)
        lost += bool(found)
        verdict = "; ".join(found) or "nothing lost"
        print(
            f"{number + 1:3d}  {room / 2**20:6.1f} MiB  {(said or 'the night ended')[:110]:110s}  {verdict}", flush=True
        )
    print(f"rounds: {arguments.rounds}; nights that ran out of room: {failed}; rounds with anything lost: {lost}")
    sys.exit(1 if lost else 0)


def one_round(
    mount: Path, source: Path, night: date, *, old: dict[str, str], new: dict[str, str], tables: dict[str, str]
) -> tuple[list[str], str]:
    """What was lost, and what the night said as it failed (nothing, if it ended)."""
    home = Home(mount / "home")
    shutil.copytree(source, home.root)
    said = ""
    try:
        in_child(whole_night, home.root, night)
    except RuntimeError as error:
        said = str(error).replace("\n", " ")
    lost = []
    if said and not any(words in said for words in ROOM_WORDS):
        lost.append("the error does not say that there is no room")
    expected: tuple[dict[str, str], ...] = (old, new) if said else (new,)
    if in_child(published_digests, home.published_file) not in expected:
        lost.append("the published file is neither old nor new")
    subprocess.run(["mount", "-o", "remount,size=4g", str(mount)], check=True)
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


def damage(root: Path) -> list[str]:
    """What the doctor finds damaged."""
    from ecom_pipeline.operations.doctor import examine

    return [f"{found.part}: {found.what}" for found in examine(Home(root)) if found.level == "damaged"]


def size_of(folder: Path) -> int:
    """Bytes on the disk, whole blocks."""
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
