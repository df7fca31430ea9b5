"""The public data sets in their published protocols, as the frames that the recommender takes."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Task:
    """events to fit on, histories and targets (user_id, item_id) to score, the cut-off, and whether repeats count."""

    name: str
    events: pd.DataFrame
    histories: pd.DataFrame
    targets: pd.DataFrame
    k: int
    repeats: str


def data_folder() -> Path:
    """Folder of the public data: $ECOM_SHARED_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("ECOM_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(f"no data at {folder}: set ECOM_SHARED_DATA to the folder that holds next_item/")
    return folder


def beauty(*, tuning: bool = False) -> Task:
    """Amazon Beauty, leave one out. `tuning` drops the test item first, so that the one before it is the target."""
    users, sequences = [], []
    for line in (data_folder() / "next_item" / "beauty.txt").read_text().splitlines():
        user, *items = (int(part) for part in line.split())
        users.append(user)
        sequences.append(np.array(items[:-1] if tuning else items))
    histories = _long(np.array(users), [items[:-1] for items in sequences])
    targets = pd.DataFrame({"user_id": users, "item_id": [items[-1] for items in sequences]})
    return Task(name="beauty", events=histories, histories=histories, targets=targets, k=10, repeats="exclude")


def diginetica(*, tuning: bool = False, share: float = 0.08) -> Task:
    """Diginetica: every test row is prefix -> target. `tuning` scores the last `share` of the training sessions
    instead.

    The sessions of the file are in order of time; their number stands for the time of their events.
    """
    folder = data_folder() / "next_item"
    train = pq.read_table(folder / "diginetica_train.parquet")
    sessions = train.column("session").to_numpy()
    sequences = [np.asarray(items) for items in train.column("items").to_numpy()]
    if tuning:
        cut = int(len(sequences) * (1.0 - share))
        cases = [(items[:end], items[end]) for items in sequences[cut:] for end in range(1, len(items))]
        prefixes, wanted = [prefix for prefix, _ in cases], [item for _, item in cases]
        sessions, sequences = sessions[:cut], sequences[:cut]
    else:
        test = pq.read_table(folder / "diginetica_test.parquet")
        prefixes = [np.asarray(items) for items in test.column("prefix").to_numpy()]
        wanted = test.column("target").to_pylist()
    events = _long(sessions, sequences)
    events["event_ts"] = events["user_id"]
    case = np.arange(len(prefixes))
    return Task(
        name="diginetica",
        events=events,
        histories=_long(case, prefixes),
        targets=pd.DataFrame({"user_id": case, "item_id": np.asarray(wanted, dtype=np.int64)}),
        k=20,
        repeats="allow",
    )


def sample_cases(task: Task, n: int, *, seed: int = 0) -> Task:
    """The task with `n` of its cases."""
    chosen = task.targets.sample(n=min(n, len(task.targets)), random_state=seed).sort_index()
    kept = task.histories[task.histories["user_id"].isin(chosen["user_id"])]
    return Task(task.name, task.events, kept, chosen, task.k, task.repeats)


def _long(users: np.ndarray, sequences: list[np.ndarray]) -> pd.DataFrame:
    lengths = np.array([len(items) for items in sequences])
    starts = np.cumsum(lengths) - lengths
    return pd.DataFrame(
        {
            "user_id": np.repeat(users, lengths).astype(np.int64),
            "item_id": np.concatenate(sequences).astype(np.int64),
            "position": np.arange(lengths.sum()) - np.repeat(starts, lengths),
        }
    )
