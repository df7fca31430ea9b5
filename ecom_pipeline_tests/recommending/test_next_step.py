"""Next steps: what is known of users as of a day, what came next, and probabilities that hold."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ecom_pipeline.recommending.frames import FrameError
from ecom_pipeline.recommending.next_step import NextStepPredictor
from ecom_pipeline.recommending.recommender import NotFittedError
from ecom_pipeline.recommending.user_days import (
    OUTCOMES,
    UserDays,
    features_of,
    last_kinds,
    outcomes_of,
    read_user_days,
)

FIRST = date(2026, 1, 1)
DAYS = 120
LAST = FIRST + timedelta(days=DAYS - 1)
PROBABILITIES = [f"p_{name}" for name in OUTCOMES]


def shop(*, users: int = 1_200, days: int = DAYS, seed: int = 0, regular: bool = True) -> pa.Table:
    """Users with rates of their own of coming, and of buying when they come; without `regular` all are alike."""
    rng = np.random.default_rng(seed)
    comes = rng.beta(0.6, 3.0, size=users) if regular else np.full(users, 0.15)
    buys = rng.beta(0.7, 2.0, size=users) if regular else np.full(users, 0.2)
    user, day = np.nonzero(rng.random((users, days)) < comes[:, None])
    bought = rng.random(len(user)) < buys[user]
    rows = pd.concat(
        [
            pd.DataFrame({"user": user, "day": day, "step": 0, "event": "view"}),
            pd.DataFrame({"user": user[bought], "day": day[bought], "step": 1, "event": "purchase"}),
        ]
    ).sort_values(["user", "day", "step"], ignore_index=True)
    return pa.table(
        {
            "user_id": pa.array("u" + rows["user"].astype(str), pa.string()),
            "event": pa.array(rows["event"], pa.string()),
            "event_date": pa.array([FIRST + timedelta(days=int(n)) for n in rows["day"]], pa.date32()),
        }
    )


def history(*events: tuple[str, str, int]) -> UserDays:
    """Events (user, kind, day of the tests' calendar)."""
    return read_user_days(
        pa.table(
            {
                "user_id": [user for user, _, _ in events],
                "event": [kind for _, kind, _ in events],
                "event_date": [FIRST + timedelta(days=n) for _, _, n in events],
            }
        )
    )


def told(predictor: NextStepPredictor, events: pa.Table, as_of: date = LAST) -> pd.DataFrame:
    found = predictor.predict(events, as_of=as_of)
    assert isinstance(found, pa.Table)
    said: pd.DataFrame = found.to_pandas()
    return said


def day(n: int) -> int:
    return (FIRST - date(1970, 1, 1)).days + n


@pytest.fixture(scope="module")
def events() -> pa.Table:
    return shop()


@pytest.fixture(scope="module")
def fitted(events: pa.Table) -> NextStepPredictor:
    return NextStepPredictor().fit(events)


def test_the_next_step_is_the_first_event_of_the_window_and_a_purchase_may_come_later() -> None:
    read = history(("a", "view", 0), ("a", "cart", 3), ("a", "purchase", 9), ("b", "view", 0), ("b", "view", 20))
    following, bought = outcomes_of(read, np.array([0, 1]), day(2), window_days=7)
    assert [OUTCOMES[place] for place in following] == ["cart", "nothing"]
    assert bought.tolist() == [True, False]
    following, bought = outcomes_of(read, np.array([0, 1]), day(2), window_days=6)
    assert (OUTCOMES[following[0]], bool(bought[0])) == ("cart", False)


def test_what_was_taken_back_is_no_step() -> None:
    read = history(("a", "view", 0), ("a", "return", 1), ("a", "remove", 2), ("a", "purchase", 3))
    following, _ = outcomes_of(read, np.array([0]), day(0), window_days=7)
    assert OUTCOMES[following[0]] == "purchase"
    assert last_kinds(read, np.array([0]), day(2)).tolist() == [0]


def test_features_know_nothing_of_what_comes_after_their_day() -> None:
    past = (("a", "view", 0), ("a", "cart", 3), ("b", "view", 2))
    known = features_of(history(*past), np.array([0, 1]), day(5), window_days=7)
    more = history(*past[:2], ("a", "purchase", 6), *past[2:], ("b", "view", 7))
    np.testing.assert_array_equal(features_of(more, np.array([0, 1]), day(5), window_days=7), known)
    assert not np.array_equal(features_of(more, np.array([0, 1]), day(7), window_days=7), known)


def test_a_user_whose_days_are_not_in_order_is_refused() -> None:
    with pytest.raises(FrameError, match="not in order"):
        history(("a", "view", 3), ("a", "view", 1))


def test_probabilities_beat_both_floors_and_hold_on_days_that_nobody_has_seen(
    events: pa.Table, fitted: NextStepPredictor
) -> None:
    for found in fitted.report()["targets"].values():
        scores = found["scores"]
        assert found["speaker"] == "model"
        assert scores["model"]["log_loss"] < 0.97 * scores["transitions"]["log_loss"]
        assert scores["model"]["brier"] < scores["model"]["brier_of_share"]
        assert scores["model"]["ece"] < 0.06
    # and on days after the cutoff
    cutoff = LAST - timedelta(days=7)
    said = told(NextStepPredictor().fit(events, cutoff=cutoff), events, cutoff)
    after = events.to_pandas()
    after = after[(pd.to_datetime(after["event_date"]) > pd.Timestamp(cutoff)) & (after["event"] == "purchase")]
    bought = said["user_id"].isin(after["user_id"])
    assert float(np.mean(said["p_buys"])) == pytest.approx(bought.mean(), abs=0.05)
    assert said["p_buys"][bought].mean() > 1.5 * said["p_buys"][~bought].mean()


def test_every_active_user_has_probabilities_that_add_up(events: pa.Table, fitted: NextStepPredictor) -> None:
    said = told(fitted, events)
    assert set(said["user_id"]) == set(events.column("user_id").to_pylist())
    np.testing.assert_allclose(said[PROBABILITIES].sum(axis=1), 1.0)
    assert (said["p_buys"] >= said["p_purchase"]).all()
    assert (("p_" + said["likeliest"]) == said[PROBABILITIES].idxmax(axis=1)).all()
    assert set(said["last_event"]) == {"view", "purchase"}
    assert not said[["next_fallback", "buys_fallback"]].to_numpy().any()
    short = told(NextStepPredictor(active_days=3).fit(events), events)
    recent = events.filter(pc.greater(events.column("event_date"), pa.scalar(LAST - timedelta(days=3))))
    assert set(short["user_id"]) == set(recent.column("user_id").to_pylist())


def test_the_future_changes_nothing(events: pa.Table) -> None:
    cutoff = LAST - timedelta(days=20)
    later = shop(seed=9)
    after = later.filter(pc.greater(later.column("event_date"), pa.scalar(cutoff)))
    before = events.filter(pc.less_equal(events.column("event_date"), pa.scalar(cutoff)))
    mixed = pa.concat_tables([before, after]).sort_by([("user_id", "ascending"), ("event_date", "ascending")])
    plain = before.sort_by([("user_id", "ascending"), ("event_date", "ascending")])
    known, changed = (NextStepPredictor().fit(table, cutoff=cutoff) for table in (plain, mixed))
    assert known.report() == changed.report()
    assert known.predict(plain, as_of=cutoff).equals(changed.predict(mixed, as_of=cutoff))
    assert NextStepPredictor().fit(mixed).report() != known.report()


def test_the_same_events_give_the_same_probabilities_and_a_folder_keeps_them(
    events: pa.Table, fitted: NextStepPredictor, tmp_path: Path
) -> None:
    again = NextStepPredictor().fit(events)
    assert again.report() == fitted.report()
    said = fitted.predict(events, as_of=LAST)
    assert again.predict(events, as_of=LAST).equals(said)
    fitted.save(tmp_path)
    kept = NextStepPredictor.load(tmp_path)
    assert kept.predict(events, as_of=LAST).equals(said)
    assert kept.report() == fitted.report()


def test_where_users_do_not_differ_the_floor_speaks_and_says_so() -> None:
    events = shop(users=80, regular=False, seed=3)
    predictor = NextStepPredictor().fit(events)
    report = predictor.report()["targets"]
    assert {found["speaker"] for found in report.values()} <= {"transitions", "base_rate"}
    for found in report.values():
        scores = found["scores"]
        assert scores["model"]["log_loss"] >= min(scores[floor]["log_loss"] for floor in ("transitions", "base_rate"))
    said = told(predictor, events)
    assert said[["next_fallback", "buys_fallback"]].to_numpy().all()
    assert said.groupby("last_event")["p_buys"].nunique().eq(1).all()


def test_a_floor_survives_its_folder(tmp_path: Path) -> None:
    events = shop(users=80, regular=False, seed=3)
    predictor = NextStepPredictor().fit(events)
    predictor.save(tmp_path)
    assert NextStepPredictor.load(tmp_path).predict(events, as_of=LAST).equals(predictor.predict(events, as_of=LAST))


def test_a_shop_in_which_nobody_ever_bought_has_no_model_of_buying() -> None:
    events = shop(users=100)
    looked = events.filter(pc.equal(events.column("event"), "view"))
    predictor = NextStepPredictor().fit(looked)
    assert predictor.report()["targets"]["buys"]["speaker"] != "model"
    assert told(predictor, looked)["p_buys"].max() < 0.01


def test_curves_of_reliability_count_every_judged_user(fitted: NextStepPredictor) -> None:
    report = fitted.report()
    assert set(report["reliability"]) == {"nothing", "view", "buys"}
    for curve in report["reliability"].values():
        assert sum(curve["n"]) == report["targets"]["buys"]["n"]
        assert curve["predicted"] == sorted(curve["predicted"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"days": 20}, "need 28 days of events; there are 20"), ({"users": 5}, "need 30 active users at the start")],
)
def test_too_little_to_learn_from_is_said(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NextStepPredictor().fit(shop(**arguments))  # type: ignore[arg-type]


def test_nothing_is_said_before_the_fit(events: pa.Table) -> None:
    with pytest.raises(NotFittedError):
        NextStepPredictor().predict(events, as_of=LAST)
