"""Items without events: proposed by their traits to users whose history shares them, marked, and saved."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ecom_pipeline.recommending import FrameError, NextItemRecommender
from ecom_pipeline.recommending.content import NewItems, read_traits
from ecom_pipeline.recommending.reading import read_events
from ecom_pipeline_tests.recommending.shops import START, visiting_shop

FRESH = [1000, 1001]


def launching_shop() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A shop where items of each taste are launched all the time, and bought soon after; and its item features."""
    shop = visiting_shop(users=200)
    day = (shop["event_ts"] - START).dt.days
    # the last item of every taste gives way to a new one every four days
    launched = shop["item_id"] % 6 >= 4
    shop.loc[launched, "item_id"] = 100 + shop["item_id"] // 6 + 10 * (day[launched] // 4)
    ids = np.concatenate([np.unique(shop["item_id"]), FRESH])
    taste = np.where(ids >= 1000, ids - 1000, np.where(ids >= 100, ids % 10, ids // 6))
    features = pd.DataFrame({"item_id": ids, "category": [f"taste {one}" for one in taste]})
    return shop, features


def test_an_item_without_events_reaches_users_of_its_category_and_is_marked(tmp_path: Path) -> None:
    shop, features = launching_shop()
    recommender = NextItemRecommender(networks=()).fit(shop, item_features=features)
    out = recommender.recommend(shop, k=40)
    fresh = out[out["item_id"].isin(FRESH)]
    assert len(fresh)
    assert fresh["fallback"].all()
    assert (fresh["source"] == "new_items").all()
    main_taste = (shop["item_id"] // 6).groupby(shop["user_id"]).agg(lambda tastes: tastes.mode()[0])
    mine = out[out["item_id"] == 1000].groupby("user_id").size()
    assert (main_taste.reindex(mine.index) == 0).mean() > 0.2
    likeness = recommender.similar_items(FRESH, k=5, kind="pandas").merge(
        features, left_on="similar_item_id", right_on="item_id", suffixes=("", "_other")
    )
    assert (likeness["category"] == "taste " + (likeness["item_id"] - 1000).astype(str)).all()
    recommender.save(tmp_path)
    pd.testing.assert_frame_equal(NextItemRecommender.load(tmp_path).recommend(shop, k=40), out)


def test_a_source_that_proposes_nothing_hits_nothing() -> None:
    shop = visiting_shop()
    ids = np.unique(shop["item_id"])
    features = pd.DataFrame({"item_id": ids, "category": [f"taste {one // 6}" for one in ids]})
    validation = NextItemRecommender(networks=()).fit(shop, item_features=features).report()["validation"]
    assert validation["new_items"]["hr@20"] == 0.0
    # what is in the history can be among its proposals only
    assert 0.0 < validation["history"]["hr@20"] <= validation["candidate_recall"]
    assert validation["blend"]["hr@20"] > 0.3


def test_without_features_nothing_unknown_is_recommended() -> None:
    shop, _ = launching_shop()
    out = NextItemRecommender(networks=()).fit(shop).recommend(shop, k=40)
    assert set(out["item_id"]) <= set(shop["item_id"])


def test_only_items_with_few_events_are_scored_and_likeness_follows_shared_traits() -> None:
    events = pd.DataFrame({"user_id": [1] * 8, "item_id": [0] * 5 + [1, 1, 2], "position": range(8)})
    log, vocabulary = read_events(events, name="events")
    features = pd.DataFrame({"item_id": [0, 1, 2], "brand": ["a", "a", "b"]})
    traits = read_traits(features, vocabulary.ids)
    assert traits is not None
    np.testing.assert_allclose(np.sqrt((traits.toarray() ** 2).sum(axis=1)), 1.0, rtol=1e-6)
    strengths = NewItems.fit(traits, log).strengths(log).toarray()[0]
    assert strengths[0] == 0.0
    assert strengths[1] > 0.0
    assert strengths[2] > 0.0


def test_features_with_names_only_hold_no_traits() -> None:
    features = pd.DataFrame({"item_id": [0, 1], "name": ["x", "y"], "price": [1.0, 2.0]})
    assert read_traits(features, pa.array([0, 1])) is None


def test_features_of_another_id_type_are_refused() -> None:
    events = pd.DataFrame({"user_id": [1], "item_id": [1], "position": [0]})
    features = pd.DataFrame({"item_id": ["1"], "category": ["a"]})
    with pytest.raises(FrameError, match="but events"):
        NextItemRecommender("co_visitation").fit(events, item_features=features)
