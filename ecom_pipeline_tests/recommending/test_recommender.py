"""The public face: frames, ids, fallbacks, exclusions, determinism, saving, and what may not leak."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ecom_pipeline.recommending import FrameError, NextItemRecommender, NotFittedError
from ecom_pipeline_tests.recommending.shops import START, as_text_ids, cyclic_shop, visiting_shop

COLUMNS = [
    "user_id",
    "rank",
    "item_id",
    "score",
    "source",
    "reason",
    "reason_item_id",
    "is_repeat",
    "fallback",
]


def counting_blend(**settings: object) -> NextItemRecommender:
    return NextItemRecommender(networks=(), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    return visiting_shop()


@pytest.fixture(scope="module")
def fitted(shop: pd.DataFrame) -> NextItemRecommender:
    return counting_blend().fit(shop)


def test_recommendations_have_the_promised_columns_and_k_ranks_a_user(
    fitted: NextItemRecommender, shop: pd.DataFrame
) -> None:
    out = fitted.recommend(shop, k=5)
    assert list(out.columns) == COLUMNS
    assert out.groupby("user_id")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3, 4, 5]).all()
    assert not out.duplicated(["user_id", "item_id"]).any()
    assert (out.groupby("user_id")["score"].diff().dropna() <= 1e-7).all()
    assert out["reason"].notna().all()


@pytest.mark.parametrize("text", [False, True])
def test_arrow_and_pandas_frames_with_either_kind_of_id_give_the_same_answer(
    fitted: NextItemRecommender, shop: pd.DataFrame, text: bool
) -> None:
    events = as_text_ids(shop) if text else shop
    recommender = counting_blend().fit(pa.Table.from_pandas(events, preserve_index=False))
    out = recommender.recommend(pa.Table.from_pandas(events, preserve_index=False), k=4)
    assert isinstance(out, pa.Table)
    expected = fitted.recommend(shop, k=4)
    got = out.to_pandas()
    if text:
        expected = expected.assign(
            user_id="u" + expected["user_id"].astype(str), item_id="i" + expected["item_id"].astype(str)
        )
    assert got["user_id"].tolist() == expected["user_id"].tolist()
    assert got["item_id"].tolist() == expected["item_id"].tolist()


def test_users_and_items_that_the_fit_never_saw_are_served(fitted: NextItemRecommender) -> None:
    histories = pd.DataFrame(
        {
            "user_id": [9001, 9001, 9002, 9003],
            "item_id": [3.0, 4.0, 77777.0, np.nan],
            "event_ts": START,
            "event": "view",
        }
    )
    out = fitted.recommend(histories, k=3)
    assert out["user_id"].tolist() == [9001] * 3 + [9002] * 3 + [9003] * 3
    fallback = out.groupby("user_id")["fallback"].all()
    assert not fallback[9001]
    assert fallback[9002]
    assert fallback[9003]
    assert (out.loc[out["fallback"], "source"] == "popularity").all()


def test_excluded_repeats_never_come_back_and_allowed_ones_do(shop: pd.DataFrame) -> None:
    had = set(zip(shop["user_id"], shop["item_id"], strict=True))
    never = counting_blend(repeats="exclude").fit(shop).recommend(shop, k=10)
    assert not any(pair in had for pair in zip(never["user_id"], never["item_id"], strict=True))
    assert not never["is_repeat"].any()
    again = counting_blend(repeats="allow").fit(shop).recommend(shop, k=10)
    assert again["is_repeat"].any()
    is_repeat = [pair in had for pair in zip(again["user_id"], again["item_id"], strict=True)]
    assert again["is_repeat"].tolist() == is_repeat


def test_only_candidates_are_recommended_and_never_what_is_blocked(
    fitted: NextItemRecommender, shop: pd.DataFrame
) -> None:
    out = fitted.recommend(shop, k=10, candidates=list(range(20)), blocked=[0, 1])
    assert set(out["item_id"]) <= set(range(2, 20))
    assert out.groupby("user_id").size().eq(10).all()


def test_the_same_seed_gives_the_same_recommendations(shop: pd.DataFrame, fitted: NextItemRecommender) -> None:
    again = counting_blend().fit(shop)
    pd.testing.assert_frame_equal(again.recommend(shop, k=5), fitted.recommend(shop, k=5))


def test_the_order_of_rows_does_not_matter_where_times_are_known(
    shop: pd.DataFrame, fitted: NextItemRecommender
) -> None:
    distinct = shop.drop_duplicates(["user_id", "event_ts"])
    straight = counting_blend().fit(distinct).recommend(distinct, k=3)
    histories = distinct.sample(frac=1.0, random_state=1)
    out = counting_blend().fit(distinct).recommend(histories, k=3)
    merged = straight.merge(out, on=["user_id", "rank"], suffixes=("", "_shuffled"))
    assert len(merged) == len(straight)
    assert (merged["item_id"] == merged["item_id_shuffled"]).all()


def test_a_loaded_recommender_recommends_exactly_what_the_saved_one_did(
    fitted: NextItemRecommender, shop: pd.DataFrame, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "model")
    loaded = NextItemRecommender.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.recommend(shop, k=5), fitted.recommend(shop, k=5))
    assert loaded.similar_items([1, 2]).equals(fitted.similar_items([1, 2]))
    assert loaded.report() == json.loads(json.dumps(fitted.report()))
    assert not [path for path in (tmp_path / "model").iterdir() if path.suffix in (".pkl", ".pickle", ".py")]


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        NextItemRecommender.load(tmp_path)


def test_similar_items_are_of_the_same_taste_and_never_the_item_itself(fitted: NextItemRecommender) -> None:
    out = fitted.similar_items(list(range(60)), k=3, kind="pandas")
    assert list(out.columns) == ["item_id", "rank", "similar_item_id", "score"]
    assert (out["item_id"] != out["similar_item_id"]).all()
    assert (out["item_id"] // 6 == out["similar_item_id"] // 6).mean() > 0.8
    assert out["score"].between(0, 1).all()


def test_similar_items_are_candidates_and_never_what_is_blocked(fitted: NextItemRecommender) -> None:
    ids = fitted.item_ids().to_pylist()
    candidates, blocked = ids[: len(ids) // 2], ids[:3]
    found = fitted.similar_items(ids, k=4, candidates=candidates, blocked=blocked, kind="pandas")
    assert set(found["similar_item_id"]) <= set(candidates) - set(blocked)
    assert set(found["item_id"]) > set(candidates)


def test_similar_items_are_those_of_a_plain_ranking_of_all(fitted: NextItemRecommender) -> None:
    ranker, _ = fitted._fitted()
    matrix = ranker.sources["co_visitation"].model.matrix.toarray()  # type: ignore[attr-defined]
    np.fill_diagonal(matrix, 0.0)
    target = ranker.sources["spectral"].model.target  # type: ignore[attr-defined]
    scores = matrix / np.maximum(matrix.max(axis=1, keepdims=True), 1e-12) + np.maximum(target @ target.T, 0.0)
    np.fill_diagonal(scores, 0.0)
    ids = fitted.item_ids().to_pylist()
    found = fitted.similar_items(ids, k=3, kind="pandas").set_index(["item_id", "rank"])["score"]
    for row, item in enumerate(ids):
        np.testing.assert_allclose(found[item], np.sort(scores[row])[::-1][:3] / 2, rtol=1e-4)


def test_a_repeat_is_explained_by_the_item_itself_and_a_new_item_by_one_of_the_history(
    fitted: NextItemRecommender, shop: pd.DataFrame
) -> None:
    out = fitted.recommend(shop, k=10)
    repeats = out[out["is_repeat"]]
    recent = repeats[repeats["reason"].str.startswith("you ")]
    assert len(recent)
    assert (recent["item_id"] == recent["reason_item_id"]).all()
    had = set(zip(shop["user_id"], shop["item_id"], strict=True))
    reasoned = out[out["reason_item_id"].notna()]
    assert all(pair in had for pair in zip(reasoned["user_id"], reasoned["reason_item_id"].astype(int), strict=True))


def test_names_and_categories_appear_in_reasons(shop: pd.DataFrame) -> None:
    features = pd.DataFrame({"item_id": range(60), "name": [f"Mug {i}" for i in range(60)], "category": "Kitchen"})
    recommender = counting_blend().fit(shop, item_features=features)
    newcomer = pd.DataFrame({"user_id": [1], "item_id": pa.array([None], pa.int64()).to_pandas(), "position": [0]})
    assert (recommender.recommend(newcomer, k=2)["reason"] == "popular in Kitchen").all()
    assert recommender.recommend(shop, k=5)["reason"].str.contains("Mug").any()


def test_progress_is_told_in_words_and_rising_shares(shop: pd.DataFrame) -> None:
    told: list[tuple[str, float]] = []
    counting_blend().fit(shop, on_progress=lambda words, share: told.append((words, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(words for words, _ in told)


def test_events_after_a_cutoff_change_nothing_that_was_fitted_before_it(shop: pd.DataFrame) -> None:
    cutoff = START + pd.Timedelta(days=30)
    past = shop[shop["event_ts"] <= cutoff]
    changed = shop.copy()
    future = changed["event_ts"] > cutoff
    changed.loc[future, "item_id"] = 59 - changed.loc[future, "item_id"]
    from_changed = changed[changed["event_ts"] <= cutoff]
    before = counting_blend().fit(past).recommend(past, k=5)
    after = counting_blend().fit(from_changed).recommend(from_changed, k=5)
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (pd.DataFrame({"user_id": [1], "item_id": [1]}), "position or event_ts"),
        (pd.DataFrame({"user_id": [1], "position": [1]}), "missing column"),
        (pd.DataFrame({"user_id": [1, 2], "item_id": [1, None], "position": [0, 0]}), "row 1 is null"),
        (pd.DataFrame({"user_id": [1], "item_id": [1.5], "position": [0]}), "not fractions"),
    ],
)
def test_frames_that_cannot_be_used_say_what_is_wrong(events: pd.DataFrame, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        NextItemRecommender("co_visitation").fit(events)


def test_ids_of_another_type_than_in_the_fit_are_refused(fitted: NextItemRecommender, shop: pd.DataFrame) -> None:
    with pytest.raises(FrameError, match="holds int64"):
        fitted.recommend(as_text_ids(shop))


def test_an_unfitted_recommender_says_so() -> None:
    with pytest.raises(NotFittedError):
        NextItemRecommender().recommend(pd.DataFrame({"user_id": [1], "item_id": [1], "position": [0]}))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="model must be one of"):
        NextItemRecommender("gpt")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="repeats must be"):
        NextItemRecommender(repeats="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time_budget_s"):
        NextItemRecommender(time_budget_s=0)


def test_a_shop_of_one_event_is_served() -> None:
    events = pd.DataFrame({"user_id": ["a"], "item_id": ["x"], "position": [0]})
    out = counting_blend().fit(events).recommend(events, k=5)
    assert out["item_id"].tolist() == ["x"]


def test_the_report_holds_validation_figures_of_every_source(fitted: NextItemRecommender) -> None:
    report = fitted.report()
    assert report["holdout"] == "time"
    assert {"co_visitation", "transitions", "neighbours", "spectral", "blend"} <= set(report["validation"])
    assert report["validation"]["blend"]["hr@10"] > 0.3
    json.dumps(report)


def test_sessions_without_times_are_held_out_whole_and_one_off_purchases_by_their_last_event() -> None:
    sessions = cyclic_shop()
    assert NextItemRecommender("co_visitation").fit(sessions).report()["holdout"] == "new_sequences"
    bought = NextItemRecommender("co_visitation", repeats="exclude").fit(sessions)
    assert bought.report()["holdout"] == "last_event"
