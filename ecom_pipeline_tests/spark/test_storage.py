"""Tables at the storage root survive whatever interrupts a writing. Needs no cluster."""

from pathlib import Path

import pytest

from ecom_pipeline.spark.storage import MANIFEST, Entry, Storage, StorageError


def written(storage: Storage, name: str, text: str) -> str:
    path = storage.new_path(name)
    path.write_text(text)
    return str(path)


def test_a_table_is_what_was_put_last_and_older_files_go(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    assert storage.entry("feat_items").paths == []
    old = written(storage, "feat_items", "old")
    storage.put("feat_items", Entry({"": ("1", old)}))
    new = written(storage, "feat_items", "new")
    storage.put("feat_items", Entry({"": ("2", new)}))
    assert storage.entry("feat_items") == Entry({"": ("2", new)})
    assert not Path(old).exists()


def test_partitions_that_did_not_change_keep_their_files(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    january, february = written(storage, "core_events", "1"), written(storage, "core_events", "2")
    storage.put("core_events", Entry({"2026-01": ("a", january), "2026-02": ("b", february)}))
    again = written(storage, "core_events", "3")
    storage.put("core_events", Entry({"2026-01": ("a", january), "2026-02": ("c", again)}))
    assert storage.entry("core_events").paths == [january, again]
    assert Path(january).read_text() == "1"


def test_a_writing_that_was_interrupted_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    whole = written(storage, "feat_items", "whole")
    storage.put("feat_items", Entry({"": ("1", whole)}))
    half = storage.new_path("feat_items")
    half.mkdir()
    (half / "part-0.parquet").write_text("half")
    (tmp_path / "feat_items" / f".{MANIFEST}.x").write_text('{"": ["2"')
    assert Storage(tmp_path).entry("feat_items") == Entry({"": ("1", whole)})
    next_one = written(storage, "feat_items", "next")
    storage.put("feat_items", Entry({"": ("3", next_one)}))
    assert sorted(path.name for path in (tmp_path / "feat_items").iterdir()) == sorted([Path(next_one).name, MANIFEST])


def test_a_damaged_manifest_and_a_relative_root_are_told(tmp_path: Path) -> None:
    (tmp_path / "feat_items").mkdir()
    (tmp_path / "feat_items" / MANIFEST).write_text("[")
    with pytest.raises(StorageError, match=r"feat_items/manifest.json: cannot be read .* remove the folder"):
        Storage(tmp_path).entry("feat_items")
    with pytest.raises(StorageError, match="no absolute path"):
        Storage(Path("here"))


def test_clearing_removes_tables_and_nothing_else(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.put("feat_items", Entry({"": ("1", written(storage, "feat_items", "rows"))}))
    (tmp_path / "of_somebody_else").mkdir()
    storage.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["of_somebody_else"]
    assert storage.entry("feat_items").paths == []
