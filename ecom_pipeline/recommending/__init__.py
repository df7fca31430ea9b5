"""Next item and recommendations: a library of its own, usable without the nightly pipeline.

Start from `NextItemRecommender`; `docs/next-item.md` says what each model does and how to read the metrics.
"""

from ecom_pipeline.recommending.diversity import boost, diversify, trade_popularity
from ecom_pipeline.recommending.evaluation import (
    Evaluation,
    TemporalSplit,
    evaluate,
    global_temporal_split,
)
from ecom_pipeline.recommending.frames import FrameError
from ecom_pipeline.recommending.purchase import PurchasePredictor
from ecom_pipeline.recommending.purchase_labels import bought_within
from ecom_pipeline.recommending.recommender import NextItemRecommender, NotFittedError
from ecom_pipeline.recommending.repurchase import hide_recent_purchases, learn_repurchase_days

__all__ = [
    "Evaluation",
    "FrameError",
    "NextItemRecommender",
    "NotFittedError",
    "PurchasePredictor",
    "TemporalSplit",
    "boost",
    "bought_within",
    "diversify",
    "evaluate",
    "global_temporal_split",
    "hide_recent_purchases",
    "learn_repurchase_days",
    "trade_popularity",
]
