"""From what a model ranks to what a shop wants to show: boosts, popularity, what was bought lately, categories.

What belongs here: the settings that change a user's list after ranking, and the order in which they do.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.recommending import (
    NextItemRecommender,
    boost,
    diversify,
    hide_recent_purchases,
    learn_repurchase_days,
    trade_popularity,
)
from ecom_pipeline.recommending.diversity import renumber
from ecom_pipeline.recommending.frames import Frame, as_table, encoded_ids, seconds_column, seconds_of
from ecom_pipeline.recommending.purchase_labels import is_purchase
from ecom_pipeline.settings import Settings
from ecom_pipeline.steps.recommend_events import item_names, purchases_of_night
from ecom_pipeline.warehouse import Warehouse

SPARE_FACTOR, SPARE_ITEMS = 3, 20
"""How many more are asked for where some may fall out or rise."""


@dataclass(frozen=True)
class Shaping:
    """What becomes of each user's list; `asked` is how many items a user the model is asked for."""

    settings: Settings
    asked: int
    popularity: pa.Table
    categories: pa.Table
    purchases: "_Purchases | None"
    repurchase_days: float | pa.Table | None

    @classmethod
    def of_night(
        cls,
        warehouse: Warehouse,
        recommender: NextItemRecommender,
        *,
        settings: Settings,
    ) -> "Shaping":
        """Read what the settings need; where they ask what users bought, `of_users` has to be told that first."""
        plain = not (
            settings.item_boosts
            or settings.popularity_penalty
            or settings.repurchase_days is not None
            or settings.most_per_category is not None
        )
        k = settings.recommendations_per_user
        days: float | pa.Table | None = None
        if settings.repurchase_days == "learnt":
            learnt = learn_repurchase_days(purchases_of_night(warehouse))
            days = as_table(learnt, name="repurchase days", required=())
        elif settings.repurchase_days is not None:
            days = float(settings.repurchase_days)
        return cls(
            settings=settings,
            asked=k if plain else SPARE_FACTOR * k + SPARE_ITEMS,
            popularity=pa.table({"item_id": recommender.item_ids(), "events": recommender.item_counts()}),
            categories=item_names(warehouse).select(["item_id", "category"]),
            purchases=None,
            repurchase_days=days,
        )

    def of_users(self, histories: pa.Table, *, now: datetime | None = None) -> "Shaping":
        """For the users of `histories`, which stand user by user; `now` is the moment of the recommendation, None for
        their last event."""
        if self.repurchase_days is None:
            return self
        return replace(self, purchases=_Purchases.of(histories, now))

    def apply(self, block: pa.Table) -> pa.Table:
        """At most `recommendations_per_user` rows a user of a block, ranked from 1."""
        settings, k = self.settings, self.settings.recommendations_per_user
        rows: Frame = block
        if settings.item_boosts:
            items = pa.array(list(settings.item_boosts), pa.string())
            rows = boost(rows, pa.table({"item_id": items, "boost": list(settings.item_boosts.values())}))
        if settings.popularity_penalty:
            rows = trade_popularity(rows, self.popularity, strength=settings.popularity_penalty)
        if self.purchases is not None and self.repurchase_days is not None:
            users = pc.unique(block.column("user_id"))
            rows = hide_recent_purchases(
                rows, self.purchases.of_users(users), as_of=self.purchases.now, days=self.repurchase_days, k=self.asked
            )
        if settings.most_per_category is not None:
            rows = diversify(rows, self.categories, per_category=settings.most_per_category, k=k)
        shaped = as_table(rows, name="recommendations", required=())
        return as_table(renumber(shaped, k, "arrow"), name="recommendations", required=())


@dataclass(frozen=True)
class _Purchases:
    """Purchases of all users, user by user, so that those of a block of users are one slice; now: the last moment."""

    rows: pa.Table
    users: pa.Array
    codes: np.ndarray
    now: float

    @classmethod
    def of(cls, histories: pa.Table, now: datetime | None) -> "_Purchases":
        if now is None:
            moment = float(seconds_column(histories, "event_ts", name="histories").max())
        else:
            moment = seconds_of(now)
        all_codes, users = encoded_ids(histories, "user_id", name="histories")
        bought = is_purchase(histories, ("purchase",))
        return cls(
            rows=histories.filter(pa.array(bought)),
            users=users,
            codes=all_codes[bought],
            now=moment,
        )

    def of_users(self, users: pa.Array) -> pa.Table:
        """Purchases of the users of a block, who follow one another in the histories."""
        places = pc.index_in(users, value_set=self.users).to_numpy(zero_copy_only=False)
        low = int(np.searchsorted(self.codes, places.min(initial=0), side="left"))
        high = int(np.searchsorted(self.codes, places.max(initial=-1), side="right"))
        return self.rows.slice(low, max(high - low, 0))
