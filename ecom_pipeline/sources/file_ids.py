"""Numbers of files, given so that they sort as the paths do, in whatever order the files come.

Rows that happened at the same time are put in order by file and line. Numbers leave gaps, so that a file that comes
late finds a place between its neighbours; when a gap is full, the numbers of that feed are given anew.
"""

from collections.abc import Sequence
from itertools import groupby

import pyarrow as pa

from ecom_pipeline.sources.profile import CORE_TABLE_OF
from ecom_pipeline.warehouse import Warehouse

SLOTS = 8
"""Files of different feeds never share a number: number = place * SLOTS + slot of the feed."""
STEP = 1024
LAST_PLACE = (2**31 - 1) // SLOTS - 1
_SLOT_OF = {"orders": 0, "browse": 1, "products": 2, "promotions": 3}
_LOOKUP_SLOT = 4


def slot_of(feed: str) -> int:
    """Slot of a feed; all lookups share one."""
    return _SLOT_OF.get(feed, _LOOKUP_SLOT)


def assign(warehouse: Warehouse, files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Numbers for files (feed, path) that are not in the ledger yet.

    Numbers that other files have may change, in every table, if the gaps are too small.
    """
    by_slot: dict[int, list[tuple[str, str]]] = {}
    for feed, path in files:
        by_slot.setdefault(slot_of(feed), []).append((feed, path))
    return {name: number for slot, names in by_slot.items() for name, number in _assign(warehouse, slot, names).items()}


def _assign(warehouse: Warehouse, slot: int, files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    rows = warehouse.rows(
        "SELECT feed, path, file_id FROM ingest_files WHERE file_id % :slots = :slot", {"slots": SLOTS, "slot": slot}
    )
    taken = {(feed, path): file_id // SLOTS for feed, path, file_id in rows}
    new = sorted(files)
    places = _places_in_gaps(taken, new)
    if places is None:
        everything = sorted([*taken, *new])
        step = min(STEP, LAST_PLACE // (len(everything) + 1))
        if step < 1:
            raise ValueError(f"{len(everything):,} files of one feed are more than there are numbers for them")
        places = {name: (position + 1) * step for position, name in enumerate(everything)}
        _renumber(warehouse, slot, {place: places[name] for name, place in taken.items()})
    return {name: places[name] * SLOTS + slot for name in new}


def _places_in_gaps(
    taken: dict[tuple[str, str], int], new: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int] | None:
    """Places of the new files between their neighbours; None where a gap is too small."""
    places: dict[tuple[str, str], int] = {}
    merged = sorted([*taken, *new])
    lower = 0
    for is_taken, group in groupby(merged, key=lambda name: name in taken):
        names = list(group)
        if is_taken:
            lower = taken[names[-1]]
            continue
        following = merged.index(names[-1]) + 1
        if following == len(merged):
            step = STEP
            if lower + step * len(names) > LAST_PLACE:
                return None
        else:
            step = (taken[merged[following]] - lower) // (len(names) + 1)
            if step < 1:
                return None
        places |= {name: lower + step * (position + 1) for position, name in enumerate(names)}
    return places


def _renumber(warehouse: Warehouse, slot: int, places: dict[int, int]) -> None:
    moved = pa.table(
        {
            "old_id": pa.array([place * SLOTS + slot for place in places], pa.int32()),
            "new_id": pa.array([place * SLOTS + slot for place in places.values()], pa.int32()),
        }
    )
    rows = warehouse.rows(
        "SELECT DISTINCT feed FROM ingest_files WHERE file_id % :slots = :slot", {"slots": SLOTS, "slot": slot}
    )
    columns = [("ingest_files", "file_id"), ("quarantine_lookups", "file_id")]
    for (feed,) in rows:
        columns += [(f"raw_{feed}", "_file_id"), (f"keys_{feed}", "file_id"), (f"quarantine_{feed}", "file_id")]
        columns += [(f"duplicates_{feed}", "file_id"), (f"duplicates_{feed}", "kept_file_id")]
        if feed in CORE_TABLE_OF:
            columns += [(CORE_TABLE_OF[feed], "file_id")]
        if feed == "orders":
            columns += [("core_events", "file_id")]
    warehouse.connection.register("moved_files", moved)
    try:
        with warehouse.transaction():
            for name, column in columns:
                if warehouse.has_table(name):
                    warehouse.connection.execute(
                        f"UPDATE {name} SET {column} = moved_files.new_id FROM moved_files "
                        f"WHERE {name}.{column} = moved_files.old_id"
                    ).fetchall()
    finally:
        warehouse.connection.unregister("moved_files")
