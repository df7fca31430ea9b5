"""Purchase predictions: the probability that a user buys a recommended item within a window of days.

What belongs here: features of (user, item) pairs as of a moment, and the calibrated model over them. It is fitted on
windows before the cutoff: recommendations are made as of the start of a window, and labelled by what was bought in it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending.calibration import Isotonic, Logistic, calibration_metrics, reliability
from ecom_pipeline.recommending.evaluation import draw_users
from ecom_pipeline.recommending.frames import (
    Frame,
    as_table,
    encoded_ids,
    frame_kind,
    id_column,
    is_among,
    make_frame,
    seconds_column,
    seconds_of,
)
from ecom_pipeline.recommending.purchase_labels import DAY_S, bought_within, is_purchase, place_in
from ecom_pipeline.recommending.recommender import NextItemRecommender, NotFittedError

FOLDS = 5
PAIRS_A_BLOCK = 500_000  # whose features, a few hundred bytes each, are held at once
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Lesson:
    """What a past window teaches: features float64 (pairs, features), bought 0 or 1 (pairs,), user int (pairs,)."""

    features: np.ndarray
    bought: np.ndarray
    user: np.ndarray


class PurchasePredictor:
    """P(user buys item within `window_days`), calibrated, for recommended pairs.

    Args:
        window_days: length of the window after the as-of moment.
        k: recommendations a user that the fit learns from.
        seed: of the sample of users and the folds.
        purchase_events: names of the events that mean "bought"; where events carry no type, every event is a purchase.
        recommender: one whose choices the recommenders of past windows take over (each is a refit on what came before
            its window); None chooses those of a decayed co-visitation on the first window's past.
        max_users: users a window that the fit learns from.
    """

    def __init__(
        self,
        window_days: int = 7,
        *,
        k: int = 20,
        seed: int = 0,
        purchase_events: Sequence[str] = ("purchase",),
        recommender: NextItemRecommender | None = None,
        max_users: int = 20_000,
    ) -> None:
        if window_days < 1:
            raise ValueError(f"window_days must be at least 1, not {window_days}")
        self.window_days = window_days
        self.k = k
        self.seed = seed
        self.purchase_events = tuple(purchase_events)
        self.max_users = max_users
        self._recommender = recommender
        self._logistic: Logistic | None = None
        self._isotonic: Isotonic | None = None
        self._kinds: tuple[str, ...] = ()
        self._items: dict[str, np.ndarray] = {}
        self._item_ids: pa.Array = pa.array([], type=pa.int64())
        self._report: dict[str, Any] = {}
        self._lessons: list[Lesson] = []

    def fit(
        self, events: Frame, *, cutoff: Any | None = None, on_progress: Progress | None = None
    ) -> "PurchasePredictor":
        """Learn from the two windows before the cutoff; the first teaches the model that the second judges, then
        both teach.

        Args:
            events: user_id, item_id, event_ts, and optionally event.
            cutoff: events after it are not looked at; None for the last event.
            on_progress: called with a few words and the share done.

        Raises:
            ValueError: when fewer than three windows of events are there, or nothing is bought in a window.
        """
        table = as_table(events, name="events", required=("user_id", "item_id", "event_ts"))
        moment = seconds_column(table, "event_ts", name="events")
        end = float(moment.max()) if cutoff is None else seconds_of(cutoff)
        if not (moment <= end).all():
            table, moment = table.filter(pa.array(moment <= end)), moment[moment <= end]
        window = self.window_days * DAY_S
        if not len(moment) or end - float(moment.min()) < 3 * window:
            raise ValueError(
                f"events: purchase predictions over {self.window_days} days need at least "
                f"{3 * self.window_days} days of events"
            )
        if "event" in table.column_names:
            names = encoded_ids(table, "event", name="events", nulls=True)[1].cast(pa.string())
            self._kinds = tuple(sorted(names.drop_null().to_pylist()))
        lessons: list[Lesson] = []
        recommender = self._recommender
        for number, start in enumerate((end - 2 * window, end - window)):
            if on_progress is not None:
                on_progress("purchases: learning from past windows", number / 2)
            lesson, recommender = self._past_window(table, moment, start, recommender)
            lessons.append(lesson)
        early, late = lessons
        logistic, isotonic = self._learn([early])
        held_out = isotonic(logistic.logits(late.features))
        self._report = {
            "window_days": self.window_days,
            "kinds": list(self._kinds),
            "held_out": calibration_metrics(held_out, late.bought),
            "reliability": reliability(held_out, late.bought),
        }
        self._keep(lessons, table, moment, end)
        if on_progress is not None:
            on_progress("purchases: done", 1.0)
        return self

    def extend(self, events: Frame, recommendations: Frame, *, since: Any) -> "PurchasePredictor":
        """Another predictor, taught by one more window: that after `since`, at which `recommendations` were made.

        The held-out figures of its report stay those of this one, which has not seen the window.

        Args:
            events: all events, those of the window included.
            recommendations: user_id, item_id, rank [, fallback], made as of `since` for users whether or not they came
                back.
            since: the moment of the recommendations.

        Raises:
            ValueError: when this predictor was loaded and not fitted: its lessons are not kept on disk.
        """
        if not self._lessons:
            raise ValueError("a predictor can be extended only where it was fitted")
        table = as_table(events, name="events", required=("user_id", "item_id", "event_ts"))
        pairs = as_table(recommendations, name="recommendations", required=("user_id", "item_id", "rank"))
        moment = seconds_column(table, "event_ts", name="events")
        other = PurchasePredictor(
            self.window_days,
            k=self.k,
            seed=self.seed,
            purchase_events=self.purchase_events,
            recommender=self._recommender,
            max_users=self.max_users,
        )
        other._kinds, other._report = self._kinds, dict(self._report)
        lesson = other._lesson(table, moment, pairs, seconds_of(since))
        other._keep([*self._lessons, lesson], table, moment, float(moment.max()))
        return other

    def _keep(self, lessons: list[Lesson], table: pa.Table, moment: np.ndarray, end: float) -> None:
        """Learn from all lessons, and remember the items as they stand at the end."""
        self._lessons = lessons
        self._report["taught_by"] = {
            "pairs": sum(len(lesson.bought) for lesson in lessons),
            "purchases": float(sum(lesson.bought.sum() for lesson in lessons)),
        }
        self._logistic, self._isotonic = self._learn(lessons)
        self._remember_items(table, moment, end)

    def predict(self, histories: Frame, recommendations: Frame, *, as_of: Any | None = None) -> Frame:
        """Probabilities of recommended pairs.

        Args:
            histories: user_id, item_id, event_ts [, event] up to `as_of`.
            recommendations: user_id, item_id, rank [, fallback], as `NextItemRecommender.recommend` gives them.
            as_of: the moment the window starts; None for the last event of the histories.

        Returns:
            user_id, item_id, probability, window_days, in the order of `recommendations`.
        """
        if self._logistic is None or self._isotonic is None:
            raise NotFittedError("fit the purchase predictor, or load one, before asking it for anything")
        table = as_table(histories, name="histories", required=("user_id", "item_id", "event_ts"))
        pairs = as_table(recommendations, name="recommendations", required=("user_id", "item_id", "rank"))
        moment = seconds_column(table, "event_ts", name="histories")
        now = seconds_of(as_of) if as_of is not None else float(moment.max(initial=0.0))
        if not (moment <= now).all():
            table, moment = table.filter(pa.array(moment <= now)), moment[moment <= now]
        probability = np.empty(pairs.num_rows)
        for events, rows in _by_users(table, pairs):
            features = self._features(table.take(pa.array(events)), moment[events], pairs.take(pa.array(rows)), now)
            probability[rows] = self._isotonic(self._logistic.logits(features))
        columns = {
            "user_id": pairs.column("user_id"),
            "item_id": pairs.column("item_id"),
            "probability": pa.array(probability),
            "window_days": pa.array(np.full(len(probability), self.window_days, dtype=np.int32)),
        }
        return make_frame(columns, frame_kind(recommendations))

    def report(self) -> dict[str, Any]:
        """Held-out n, base_rate, brier, brier_base and ece, and the reliability curve."""
        if not self._report:
            raise NotFittedError("fit the purchase predictor, or load one, before asking it for anything")
        return self._report

    def save(self, folder: str | Path) -> None:
        """Write the fitted predictor into a folder: NumPy arrays, Parquet and JSON."""
        if self._logistic is None or self._isotonic is None:
            raise NotFittedError("fit the purchase predictor before saving it")
        import pyarrow.parquet as pq

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        arrays = {f"logistic_{k}": v for k, v in vars(self._logistic).items()}
        arrays |= {f"isotonic_{k}": v for k, v in vars(self._isotonic).items()}
        np.savez(path / "purchase.npz", allow_pickle=False, **arrays)
        pq.write_table(pa.table({"item_id": self._item_ids, **self._items}), path / "purchase_items.parquet")
        manifest = {
            "window_days": self.window_days,
            "k": self.k,
            "seed": self.seed,
            "purchase_events": list(self.purchase_events),
            "max_users": self.max_users,
            "kinds": list(self._kinds),
            "report": self._report,
        }
        (path / "purchase.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "PurchasePredictor":
        """A predictor as `save` wrote it. Runs no code from the folder."""
        import pyarrow.parquet as pq

        path = Path(folder)
        manifest = json.loads((path / "purchase.json").read_text(encoding="utf-8"))
        names = ("k", "seed", "purchase_events", "max_users")
        predictor = cls(manifest["window_days"], **{name: manifest[name] for name in names})
        with np.load(path / "purchase.npz", allow_pickle=False) as arrays:
            predictor._logistic = Logistic(**{n: arrays[f"logistic_{n}"] for n in ("mean", "scale", "weights")})
            predictor._isotonic = Isotonic(**{n: arrays[f"isotonic_{n}"] for n in ("scores", "probabilities")})
        items = pq.read_table(path / "purchase_items.parquet")
        predictor._item_ids = items.column("item_id").combine_chunks()
        predictor._items = {name: items.column(name).to_numpy() for name in items.column_names if name != "item_id"}
        predictor._kinds, predictor._report = tuple(manifest["kinds"]), manifest["report"]
        return predictor

    def _learn(self, lessons: list[Lesson]) -> tuple[Logistic, Isotonic]:
        """A logistic regression, and an isotonic map learnt from its out-of-fold logits; folds hold whole users."""
        x = np.concatenate([lesson.features for lesson in lessons])
        y = np.concatenate([lesson.bought for lesson in lessons])
        users = np.cumsum([0, *(lesson.user.max(initial=-1) + 1 for lesson in lessons)])
        groups = np.concatenate([lesson.user + first for lesson, first in zip(lessons, users, strict=False)])
        if not y.any():
            raise ValueError("events: nothing that was recommended was bought in a past window; take a longer one")
        fold = np.random.default_rng(self.seed).integers(FOLDS, size=int(groups.max(initial=0)) + 1)[groups]
        logits = np.empty(len(y))
        for number in range(FOLDS):
            held = fold == number
            if held.any():
                logits[held] = Logistic.fit(x[~held], y[~held]).logits(x[held])
        return Logistic.fit(x, y), Isotonic.fit(logits, y)

    def _past_window(
        self, table: pa.Table, moment: np.ndarray, start: float, before: NextItemRecommender | None
    ) -> tuple[Lesson, NextItemRecommender]:
        """What a window from `start` on teaches of pairs that were recommended as of then."""
        seen = moment <= start
        past = table.filter(pa.array(seen))
        if before is None:
            recommender = NextItemRecommender(model="co_visitation", seed=self.seed).fit(past)
        else:
            recommender = before.refit(past)
        users = draw_users(encoded_ids(past, "user_id", name="events")[1], self.max_users, seed=self.seed)
        histories = past.filter(pa.array(is_among(past, "user_id", users, name="events")))
        del past  # a copy of nearly everything
        pairs = as_table(recommender.recommend(histories, self.k), name="recommendations", required=())
        return self._lesson(table, moment, pairs, start), recommender

    def _lesson(self, table: pa.Table, moment: np.ndarray, pairs: pa.Table, start: float) -> Lesson:
        """Features as of `start`, whether the pair was bought in the window after it, and the number of its user."""
        self._remember_items(table, moment, start)
        users = pc.unique(id_column(pairs, "user_id", name="pairs"))
        keep = (moment <= start) & is_among(table, "user_id", users, name="events")
        histories, their_moment = table.filter(pa.array(keep)), moment[keep]
        bought = bought_within(pairs, table, since=start, days=self.window_days, purchase_events=self.purchase_events)
        return Lesson(
            features=self._features(histories, their_moment, pairs, start),
            bought=bought.astype(np.float64),
            user=place_in(id_column(pairs, "user_id", name="pairs"), users),
        )

    def _is_purchase(self, table: pa.Table) -> np.ndarray:
        return is_purchase(table, self.purchase_events)

    def _remember_items(self, table: pa.Table, moment: np.ndarray, now: float) -> None:
        """Events and purchases by item up to `now`, in all time and in the last window."""
        seen = moment <= now
        columns = [name for name in ("item_id", "event") if name in table.column_names]
        known = table.select(columns).filter(pa.array(seen))
        codes, self._item_ids = encoded_ids(known, "item_id", name="events")
        bought = self._is_purchase(known)
        recent = moment[seen] > now - self.window_days * DAY_S
        n = len(self._item_ids)
        self._items = {
            "events": np.bincount(codes, minlength=n).astype(np.float64),
            "recent_events": np.bincount(codes[recent], minlength=n).astype(np.float64),
            "purchases": np.bincount(codes[bought], minlength=n).astype(np.float64),
            "recent_purchases": np.bincount(codes[bought & recent], minlength=n).astype(np.float64),
        }

    def _features(self, table: pa.Table, moment: np.ndarray, pairs: pa.Table, now: float) -> np.ndarray:
        """Features float64 (pairs, features): of the pair, of the user and of the item, as of `now`."""
        users = pc.unique(id_column(pairs, "user_id", name="recommendations"))
        user_of_event = place_in(id_column(table, "user_id", name="histories"), users)
        known = user_of_event >= 0
        table, moment, user_of_event = table.filter(pa.array(known)), moment[known], user_of_event[known]
        user = place_in(id_column(pairs, "user_id", name="recommendations"), users)
        item = place_in(id_column(pairs, "item_id", name="recommendations"), self._item_ids)
        bought = self._is_purchase(table)
        days = (now - moment) / DAY_S
        n = len(users)
        recent = days < self.window_days
        last = np.full(n, 1e4)
        np.minimum.at(last, user_of_event, days)
        last_purchase = np.full(n, 1e4)
        np.minimum.at(last_purchase, user_of_event[bought], days[bought])
        by_user = [
            np.log1p(np.bincount(user_of_event, minlength=n)),
            np.log1p(np.bincount(user_of_event[recent], minlength=n)),
            np.log1p(np.bincount(user_of_event[bought], minlength=n)),
            np.log1p(np.bincount(user_of_event[bought & recent], minlength=n)),
            np.log1p(last),
            np.log1p(last_purchase),
        ]
        columns = [values[user] for values in by_user]
        known_item = item >= 0
        by_item = {name: np.where(known_item, values[item], 0.0) for name, values in self._items.items()}
        total = max(float(self._items["events"].sum()), 1.0)
        rate = float(self._items["purchases"].sum()) / total
        columns += [np.log1p(values) for values in by_item.values()]
        columns.append(np.log((by_item["purchases"] + 5 * rate + 1e-3) / (by_item["events"] + 5)))
        rank = pairs.column("rank").to_numpy().astype(np.float64)
        columns += [np.log(rank), 1.0 / rank]
        if "fallback" in pairs.column_names:
            columns.append(pairs.column("fallback").to_numpy().astype(np.float64))
        else:
            columns.append(np.zeros(len(rank)))
        width = len(self._item_ids) + 1
        event_item = place_in(id_column(table, "item_id", name="histories", nulls=True), self._item_ids)
        event_key = user_of_event.astype(np.int64) * width + np.where(event_item >= 0, event_item, width - 1)
        pair_key = user.astype(np.int64) * width + np.where(known_item, item, width - 1)
        columns += self._pair_columns(table, event_key, pair_key, days, bought)
        return np.column_stack(columns)

    def _pair_columns(
        self, table: pa.Table, event_key: np.ndarray, pair_key: np.ndarray, days: np.ndarray, bought: np.ndarray
    ) -> list[np.ndarray]:
        keys, inverse = np.unique(event_key, return_inverse=True)
        if not len(keys):
            return [np.zeros(len(pair_key)) for _ in range(4 + len(self._kinds))]
        place = np.minimum(np.searchsorted(keys, pair_key), len(keys) - 1)
        found = keys[place] == pair_key
        latest = np.full(len(keys), 1e4)
        np.minimum.at(latest, inverse, days)
        latest_purchase = np.full(len(keys), 1e4)
        np.minimum.at(latest_purchase, inverse[bought], days[bought])
        columns = [
            np.where(found, np.log1p(np.bincount(inverse, minlength=len(keys)))[place], 0.0),
            np.where(found, np.exp(-latest / self.window_days)[place], 0.0),
            np.where(found, np.exp(-latest)[place], 0.0),
            np.where(found, np.exp(-latest_purchase / self.window_days)[place], 0.0),
        ]
        if not self._kinds:
            return columns
        kinds = pc.index_in(
            table.column("event").cast(pa.string())
            if "event" in table.column_names
            else pa.nulls(len(days), pa.string()),
            value_set=pa.array(self._kinds, type=pa.string()),
        )
        codes = pc.fill_null(kinds, -1).to_numpy()
        for kind in range(len(self._kinds)):
            counts = np.bincount(inverse[codes == kind], minlength=len(keys))
            columns.append(np.where(found, np.log1p(counts)[place], 0.0))
        return columns


def _by_users(events: pa.Table, pairs: pa.Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the events, and of the pairs, of some users after others: int (rows,), (rows,), about `PAIRS_A_BLOCK`
    pairs at a time."""
    user, users = encoded_ids(pairs, "user_id", name="recommendations")
    known, ids = encoded_ids(events, "user_id", name="histories")
    theirs = place_in(ids, users)[known] if len(ids) else known
    pair_order, event_order = (np.argsort(codes, kind="stable") for codes in (user, theirs))
    ends = np.cumsum(np.bincount(user, minlength=len(users)))
    first = 0
    while first < len(users):
        start = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, start + PAIRS_A_BLOCK, side="right")), first + 1)
        low, high = np.searchsorted(theirs, [first, last], sorter=event_order)
        yield event_order[low:high], pair_order[start : ends[last - 1]]
        first = last
