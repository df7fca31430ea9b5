"""Next steps: which kind of event comes next from a user, and whether the user buys, within a window of days.

What belongs here: the model of both, the floors that it must beat, and how it is judged. It is fitted on windows
before the cutoff: several to learn from, later ones to calibrate on, a still later one to judge on. What is published
is fitted once more with every window moved on by one, so that it knows the newest one too. A target on which the model
does not beat both floors is left to the better floor.
"""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from ecom_pipeline.recommending.calibration import Logistic, calibration_metrics, reliability
from ecom_pipeline.recommending.frames import Frame, frame_kind, make_frame
from ecom_pipeline.recommending.recommender import NotFittedError
from ecom_pipeline.recommending.user_days import (
    KINDS,
    OUTCOMES,
    UserDays,
    features_of,
    last_kinds,
    outcomes_of,
    read_user_days,
)

Target = Literal["next", "buys"]
TARGETS: tuple[Target, ...] = get_args(Target)
Speaker = Literal["model", "transitions", "base_rate"]
WINDOWS = 10
"""Windows that are learnt from and calibrated on, at most."""
CALIBRATING = 2
"""Of these, the latest that calibrate: the level of a single week is noise."""
FEWEST_CASES = 30
"""Users with an outcome that a window needs, to learn from or to judge on."""
PRIOR_CASES = 10.0
SMALLEST = 1e-4
"""Probabilities stay so far from 0 and 1: nobody is that sure of a person."""
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Window:
    """Users as of a day and what they did after it: features float64 (users, features), last int8 (users,) kind of the
    last event, outcome float64 (users, columns) one-hot of the next step, or one column for buying."""

    features: np.ndarray
    last: np.ndarray
    outcomes: dict[Target, np.ndarray]


@dataclass(frozen=True)
class Head:
    """Logistic regressions, one a column, each calibrated (Platt, 1999); several columns are made to add up to 1."""

    models: tuple[Logistic, ...]
    calibrations: tuple[Logistic, ...]

    @classmethod
    def fit(cls, windows: list[Window], target: Target) -> "Head":
        """Weights from the earlier windows, and what a score is worth from the last ones."""
        calibrating = min(CALIBRATING, len(windows) // 2)
        (x, y), (later_x, later_y) = (
            (
                np.concatenate([window.features for window in part]),
                np.concatenate([window.outcomes[target] for window in part]),
            )
            for part in (windows[:-calibrating], windows[-calibrating:])
        )
        models, calibrations = [], []
        for column in range(y.shape[1]):
            model = Logistic.fit(x, y[:, column])
            models.append(model)
            calibrations.append(Logistic.fit(model.logits(later_x)[:, None], later_y[:, column]))
        return cls(models=tuple(models), calibrations=tuple(calibrations))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Probabilities float64 (users, columns)."""
        columns = [
            1.0 / (1.0 + np.exp(-np.clip(calibration.logits(model.logits(features)[:, None]), -35, 35)))
            for model, calibration in zip(self.models, self.calibrations, strict=True)
        ]
        return _adding_up(np.column_stack(columns))


@dataclass(frozen=True)
class Floors:
    """What a model must beat: shares of the outcomes, float64 (columns,), and those after each kind of last event,
    float64 (kinds, columns)."""

    base_rate: np.ndarray
    transitions: np.ndarray

    @classmethod
    def fit(cls, windows: list[Window], target: Target) -> "Floors":
        """Shares in the given windows; of a kind with few cases they lean on those of all."""
        y = np.concatenate([window.outcomes[target] for window in windows])
        last = np.concatenate([window.last for window in windows])
        base = y.mean(axis=0)
        rows = []
        for kind in range(len(KINDS)):
            cases = y[last == kind]
            rows.append((cases.sum(axis=0) + PRIOR_CASES * base) / (len(cases) + PRIOR_CASES))
        return cls(base_rate=base, transitions=np.array(rows))

    def predict(self, last: np.ndarray, speaker: Speaker) -> np.ndarray:
        """Probabilities float64 (users, columns)."""
        if speaker == "base_rate":
            return _adding_up(np.tile(self.base_rate, (len(last), 1)))
        return _adding_up(self.transitions[last])


class NextStepPredictor:
    """P(kind of the next event, or nothing) and P(buys anything) within `window_days`, calibrated, for active users.

    Args:
        window_days: length of the window after the day that is predicted from.
        active_days: users count who did something within so many days.
        seed: of the sample of users.
        max_users: users a window that the fit learns from.
    """

    def __init__(self, window_days: int = 7, *, active_days: int = 180, seed: int = 0, max_users: int = 20_000) -> None:
        if window_days < 1:
            raise ValueError(f"window_days must be at least 1, not {window_days}")
        self.window_days = window_days
        self.active_days = active_days
        self.seed = seed
        self.max_users = max_users
        self._heads: dict[Target, Head] = {}
        self._floors: dict[Target, Floors] = {}
        self._speakers: dict[Target, Speaker] = {}
        self._report: dict[str, Any] = {}

    def fit(self, events: Frame, *, cutoff: date | None = None) -> "NextStepPredictor":
        """Learn, calibrate and judge on windows that end with the cutoff, one after the other.

        Args:
            events: user_id, event, event_date, the rows in each user's order.
            cutoff: events after the end of this day are not looked at; None for the last day.

        Raises:
            ValueError: when fewer than four windows of days are there, or hardly anybody was active before the last
                two.
        """
        read = read_user_days(events)
        end = int(read.day.max(initial=0)) if cutoff is None else (cutoff - EPOCH).days
        read = read.up_to(end)
        days = end - int(read.day.min(initial=end)) + 1
        if days < 4 * self.window_days:
            raise ValueError(
                f"next steps over {self.window_days} days need {4 * self.window_days} days of events; there are {days}"
            )
        # before the first window there is one of history
        before = min(WINDOWS, days // self.window_days - 2)
        starts = [end - number * self.window_days for number in range(before + 1, 0, -1)]
        windows = [self._window(read, start) for start in starts]
        came = int(windows[-1].outcomes["next"][:, 1:].sum())
        if came < FEWEST_CASES or len(windows[0].last) < FEWEST_CASES:
            raise ValueError(
                f"next steps need {FEWEST_CASES} active users at the start and {FEWEST_CASES} who come back in the "
                f"last {self.window_days} days; there are {len(windows[0].last)} and {came}"
            )
        judged = {target: self._judge(windows, target) for target in TARGETS}
        self._speakers = {target: found["speaker"] for target, found in judged.items()}
        for target in TARGETS:
            # everything moved on by one window: the newest one teaches too
            self._floors[target] = Floors.fit(windows[1:], target)
            if self._speakers[target] == "model":
                self._heads[target] = Head.fit(windows[1:], target)
        self._report = {
            "window_days": self.window_days,
            "windows": before,
            "targets": judged,
            "reliability": self._reliability(windows),
        }
        return self

    def predict(self, events: Frame, *, as_of: date) -> Frame:
        """Probabilities of every user who did something in the `active_days` up to `as_of`.

        Args:
            events: as of `fit`; what came after `as_of` is not looked at.
            as_of: the day after which the window starts.

        Returns:
            user_id, last_event, p_nothing, p_view, p_favourite, p_cart, p_purchase (they add up to 1), likeliest,
            p_buys, window_days, next_fallback, buys_fallback; in order of first appearance.
        """
        if not self._floors:
            raise NotFittedError("fit the next-step predictor, or load one, before asking it for anything")
        day = (as_of - EPOCH).days
        read = read_user_days(events).up_to(day)
        users = read.active(day, self.active_days)
        last = last_kinds(read, users, day)
        features = features_of(read, users, day, window_days=self.window_days)
        following, buys = _consistent(*(self._say(target, features, last) for target in TARGETS))
        columns: dict[str, Any] = {
            "user_id": read.users.take(pa.array(users)),
            "last_event": pa.array(np.array(KINDS, dtype=object)[last], pa.string()),
            **{f"p_{name}": pa.array(following[:, place]) for place, name in enumerate(OUTCOMES)},
            "likeliest": pa.array(np.array(OUTCOMES, dtype=object)[following.argmax(axis=1)], pa.string()),
            "p_buys": pa.array(buys[:, 0]),
            "window_days": pa.array(np.full(len(users), self.window_days, dtype=np.int32)),
            "next_fallback": pa.array(np.full(len(users), self._speakers["next"] != "model")),
            "buys_fallback": pa.array(np.full(len(users), self._speakers["buys"] != "model")),
        }
        return make_frame(columns, frame_kind(events))

    def report(self) -> dict[str, Any]:
        """Figures on the judged window by target, beside both floors', who speaks, and the reliability curves of what
        is published."""
        if not self._report:
            raise NotFittedError("fit the next-step predictor, or load one, before asking it for anything")
        return self._report

    def save(self, folder: str | Path) -> None:
        """Write the fitted predictor into a folder: NumPy arrays and JSON."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {}
        for target, floors in self._floors.items():
            arrays |= {f"{target}_floor_{name}": values for name, values in vars(floors).items()}
        for target, head in self._heads.items():
            for part, fitted in (("models", head.models), ("calibrations", head.calibrations)):
                for name in ("mean", "scale", "weights"):
                    arrays[f"{target}_{part}_{name}"] = np.array([getattr(one, name) for one in fitted])
        np.savez(path / "next_step.npz", allow_pickle=False, **arrays)
        manifest = {
            "window_days": self.window_days,
            "active_days": self.active_days,
            "seed": self.seed,
            "max_users": self.max_users,
            "speakers": self._speakers,
            "report": self.report(),
        }
        (path / "next_step.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "NextStepPredictor":
        """A predictor as `save` wrote it. Runs no code from the folder."""
        path = Path(folder)
        manifest = json.loads((path / "next_step.json").read_text(encoding="utf-8"))
        names = ("active_days", "seed", "max_users")
        predictor = cls(manifest["window_days"], **{name: manifest[name] for name in names})
        predictor._speakers, predictor._report = manifest["speakers"], manifest["report"]
        with np.load(path / "next_step.npz", allow_pickle=False) as arrays:

            def fitted(target: Target, part: str) -> tuple[Logistic, ...]:
                columns = [arrays[f"{target}_{part}_{name}"] for name in ("mean", "scale", "weights")]
                return tuple(Logistic(mean=m, scale=s, weights=w) for m, s, w in zip(*columns, strict=True))

            for target in TARGETS:
                predictor._floors[target] = Floors(
                    base_rate=arrays[f"{target}_floor_base_rate"], transitions=arrays[f"{target}_floor_transitions"]
                )
                if predictor._speakers[target] == "model":
                    predictor._heads[target] = Head(fitted(target, "models"), fitted(target, "calibrations"))
        return predictor

    def _window(self, events: UserDays, start: int) -> Window:
        users = events.active(start, self.active_days)
        if len(users) > self.max_users:
            users = np.sort(np.random.default_rng(self.seed).choice(users, size=self.max_users, replace=False))
        following, bought = outcomes_of(events, users, start, window_days=self.window_days)
        return Window(
            features=features_of(events, users, start, window_days=self.window_days),
            last=last_kinds(events, users, start),
            outcomes={
                "next": np.eye(len(OUTCOMES))[following],
                "buys": bought[:, None].astype(np.float64),
            },
        )

    def _judge(self, windows: list[Window], target: Target) -> dict[str, Any]:
        """Figures of model and floors on the last window; none of them has seen it. The model is that of the windows
        before the one that calibrates it."""
        *before, held_out = windows
        came = held_out.outcomes[target]
        floors = Floors.fit(before, target)
        scores: dict[str, dict[str, float]] = {
            speaker: _scores(floors.predict(held_out.last, speaker), came) for speaker in ("transitions", "base_rate")
        }
        speaker: Speaker = "transitions"
        if scores["base_rate"]["log_loss"] < scores["transitions"]["log_loss"]:
            speaker = "base_rate"
        enough = sum(window.outcomes[target][:, -1 if target == "buys" else slice(1, None)].sum() for window in before)
        if enough >= FEWEST_CASES:
            head = Head.fit(before, target)
            scores["model"] = _scores(head.predict(held_out.features), came)
            if scores["model"]["log_loss"] < min(scores[floor]["log_loss"] for floor in ("transitions", "base_rate")):
                speaker = "model"
        return {"speaker": speaker, "scores": scores, "n": len(came)}

    def _reliability(self, windows: list[Window]) -> dict[str, dict[str, list[float]]]:
        """Curves on the last window by outcome, and for buying, of whoever speaks, fitted before that window."""
        *before, held_out = windows
        said = []
        for target in TARGETS:
            if self._speakers[target] == "model":
                said.append(Head.fit(before, target).predict(held_out.features))
            else:
                said.append(Floors.fit(before, target).predict(held_out.last, self._speakers[target]))
        following, buys = _consistent(*said)
        curves = {
            name: reliability(following[:, place], held_out.outcomes["next"][:, place])
            for place, name in enumerate(OUTCOMES)
            if held_out.outcomes["next"][:, place].any()
        }
        return {**curves, "buys": reliability(buys[:, 0], held_out.outcomes["buys"][:, 0])}

    def _say(self, target: Target, features: np.ndarray, last: np.ndarray) -> np.ndarray:
        speaker = self._speakers[target]
        if speaker == "model":
            return self._heads[target].predict(features)
        return self._floors[target].predict(last, speaker)


def _consistent(following: np.ndarray, buys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who buys next, buys: the one probability is at least the other."""
    return following, np.maximum(buys, following[:, [OUTCOMES.index("purchase")]])


def _adding_up(probabilities: np.ndarray) -> np.ndarray:
    """Away from 0 and 1, and where there are several columns, rows that add up to 1."""
    bounded = np.clip(probabilities, SMALLEST, 1.0 - SMALLEST)
    return bounded if bounded.shape[1] == 1 else bounded / bounded.sum(axis=1, keepdims=True)


def _scores(said: np.ndarray, came: np.ndarray) -> dict[str, float]:
    """log_loss and brier a user (of several columns: summed), ece (of several: their mean), mean_probability and share
    of the first column that stands for something, and the share of users whose likeliest outcome came."""
    several = said.shape[1] > 1
    if several:
        log_loss = -np.log((said * came).sum(axis=1)).mean()
        accuracy = (said.argmax(axis=1) == came.argmax(axis=1)).mean()
    else:
        log_loss = -np.log(np.where(came > 0, said, 1.0 - said)).mean()
        accuracy = ((said > 0.5) == (came > 0)).mean()
    calibrations = [calibration_metrics(said[:, place], came[:, place]) for place in range(said.shape[1])]
    return {
        "log_loss": float(log_loss),
        "brier": float(((said - came) ** 2).sum(axis=1).mean()),
        "brier_of_share": float(sum(one["brier_base"] for one in calibrations)),
        "ece": float(np.mean([one["ece"] for one in calibrations])),
        "mean_probability": calibrations[-1]["mean_probability"],
        "share": calibrations[-1]["base_rate"],
        "accuracy": float(accuracy),
    }
