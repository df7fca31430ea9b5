"""Tiny synthetic shops for tests."""

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-01-01")


def cyclic_shop(*, users: int = 300, items: int = 40, length: int = 8, seed: int = 0) -> pd.DataFrame:
    """Everybody walks the same circle of items from a random start: the next item follows from the last."""
    rng = np.random.default_rng(seed)
    first = rng.integers(items, size=users)
    step = np.arange(length)
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(users), length),
            "item_id": ((first[:, None] + step) % items).ravel() + 100,
            "position": np.tile(step, users),
        }
    )


def visiting_shop(*, users: int = 150, items: int = 60, days: int = 40, seed: int = 0) -> pd.DataFrame:
    """Users return on random days, look at items of their taste, and sometimes buy what they looked at."""
    rng = np.random.default_rng(seed)
    n = users * 25
    user = rng.integers(users, size=n)
    taste = rng.integers(items // 6, size=users)[user] * 6
    item = np.where(rng.random(n) < 0.8, taste + rng.integers(6, size=n), rng.integers(items, size=n))
    moment = START + pd.to_timedelta(rng.integers(days * 24 * 60, size=n), unit="min")
    views = pd.DataFrame({"user_id": user, "item_id": item, "event_ts": moment, "event": "view"})
    bought = views[rng.random(n) < 0.15].copy()
    bought["event"] = "purchase"
    bought["event_ts"] += pd.Timedelta(minutes=5)
    return pd.concat([views, bought]).sort_values("event_ts", kind="stable", ignore_index=True)


def as_text_ids(events: pd.DataFrame) -> pd.DataFrame:
    """The same events with ids as strings."""
    return events.assign(user_id="u" + events["user_id"].astype(str), item_id="i" + events["item_id"].astype(str))
