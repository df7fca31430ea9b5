"""Tables at the storage root survive whatever interrupts a writing. Needs no cluster."""

from pathlib import Path
from typing import NoReturn

import pytest

from ecom_pipeline.spark.storage import Entry, Storage, StorageError, storage_at


def no_session() -> NoReturn:
    raise AssertionError("a mounted folder needs no session")


def mounted(root: Path) -> Storage:
    return storage_at(str(root), no_session)


def written(storage: Storage, name: str, text: str) -> str:
    path = storage.new_path(name)
    storage.files.write(path, text)
    return path


def test_a_table_is_what_was_put_last_and_older_files_go(tmp_path: Path) -> None:
    storage = mounted(tmp_path)
    assert storage.entry("feat_items").paths == []
    old = written(storage, "feat_items", "old")
    storage.put("feat_items", Entry({"": ("1", old)}))
    new = written(storage, "feat_items", "new")
    storage.put("feat_items", Entry({"": ("2", new)}))
    assert storage.entry("feat_items") == Entry({"": ("2", new)})
    assert not Path(old).exists()
    assert sorted(path.name for path in (tmp_path / "feat_items").iterdir()) == sorted(
        [Path(new).name, "manifest-00000002.json"]
    )


def test_partitions_that_did_not_change_keep_their_files(tmp_path: Path) -> None:
    storage = mounted(tmp_path)
    january, february = written(storage, "core_events", "1"), written(storage, "core_events", "2")
    storage.put("core_events", Entry({"2026-01": ("a", january), "2026-02": ("b", february)}))
    again = written(storage, "core_events", "3")
    storage.put("core_events", Entry({"2026-01": ("a", january), "2026-02": ("c", again)}))
    assert storage.entry("core_events").paths == [january, again]
    assert Path(january).read_text() == "1"


def test_a_writing_that_was_interrupted_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    storage = mounted(tmp_path)
    whole = written(storage, "feat_items", "whole")
    storage.put("feat_items", Entry({"": ("1", whole)}))
    half = Path(storage.new_path("feat_items"))
    half.mkdir()
    (half / "part-0.parquet").write_text("half")
    (tmp_path / "feat_items" / f".{half.name}").write_text('{"": ["2"')
    assert mounted(tmp_path).entry("feat_items") == Entry({"": ("1", whole)})
    next_one = written(storage, "feat_items", "next")
    storage.put("feat_items", Entry({"": ("3", next_one)}))
    assert sorted(path.name for path in (tmp_path / "feat_items").iterdir()) == sorted(
        [Path(next_one).name, "manifest-00000002.json"]
    )


def test_of_two_manifests_the_later_one_counts(tmp_path: Path) -> None:
    """A writing that ended between the new manifest and the clearing of the old one."""
    storage = mounted(tmp_path)
    for number in (9, 10):
        storage.files.write(f"{storage.root}/feat_items/manifest-{number:08d}.json", f'{{"": ["{number}", "rows"]}}')
    assert storage.entry("feat_items").partitions[""] == ("10", f"{tmp_path}/feat_items/rows")


def test_a_file_whose_writing_failed_is_not_there(tmp_path: Path) -> None:
    storage = mounted(tmp_path)
    path = storage.new_path("feat_items")
    with pytest.raises(ZeroDivisionError), storage.files.writing(path) as here:
        here.write_text("half")
        raise ZeroDivisionError
    assert not Path(path).exists()


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    storage = mounted(tmp_path)
    storage.files.write(f"{storage.root}/feat_items/manifest-00000001.json", "[")
    with pytest.raises(StorageError, match=r"feat_items/manifest-00000001.json: cannot be read .* remove the folder"):
        storage.entry("feat_items")
    with pytest.raises(StorageError, match="no absolute path"):
        storage_at("here", no_session)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        written(mounted(tmp_path / "file"), "feat_items", "rows")


def test_clearing_removes_tables_half_written_ones_too_and_nothing_else(tmp_path: Path) -> None:
    storage = mounted(tmp_path)
    storage.put("feat_items", Entry({"": ("1", written(storage, "feat_items", "rows"))}))
    written(storage, "core_events", "a table without a manifest yet")
    (tmp_path / "of_somebody_else").mkdir()
    (tmp_path / "of_somebody_else" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    storage.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "of_somebody_else"]
    assert storage.entry("feat_items").paths == []


@pytest.mark.parametrize("root", ["{}", "file://{}", "{}/"])
def test_a_mounted_folder_is_a_path_or_a_file_url(tmp_path: Path, root: str) -> None:
    assert storage_at(root.format(tmp_path), no_session).root == str(tmp_path)
