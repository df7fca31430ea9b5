"""tmall2014 by a global temporal split: next event and next purchase. `python -m benchmarks.recommending.tmall`."""

import argparse
import json
import os
import time

import pandas as pd

from benchmarks.recommending.data import data_folder
from ecom_pipeline.recommending import NextItemRecommender, PurchasePredictor, evaluate, global_temporal_split

EVENTS = {0: "view", 1: "purchase", 2: "favourite", 3: "cart"}


def load() -> pd.DataFrame:
    """The events in order: days have no time, so the order of the lines is that of a user's day."""
    raw = pd.read_csv(data_folder() / "tmall2014" / "t_alibaba_data.csv", encoding="gbk")
    day = raw["visit_datetime"].str.extract(r"(\d+)\D+(\d+)").astype(int)
    moment = pd.to_datetime({"year": 2013, "month": day[0], "day": day[1]})
    events = pd.DataFrame(
        {
            "user_id": raw["user_id"],
            "item_id": raw["brand_id"],
            "event_ts": moment,
            "event": raw["type"].map(EVENTS),
        }
    )
    return events.sort_values(["user_id", "event_ts"], kind="stable", ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", default=["popularity", "co_visitation", "gru", "blend"])
    parser.add_argument("--cutoff", default="2013-07-15")
    parser.add_argument("--window-days", type=int, default=7)
    arguments = parser.parse_args()
    split = global_temporal_split(load(), arguments.cutoff)
    for model in arguments.models:
        started = time.monotonic()
        recommender = NextItemRecommender(model).fit(split.train)
        fit_s = time.monotonic() - started
        for name, targets in (("next event", split.next_event), ("next purchase", split.next_purchase)):
            result = evaluate(recommender, split.histories, targets)
            low, high = result.intervals["hr@20"]
            row = {key: round(value, 4) for key, value in result.metrics.items()}
            print(
                f"{model}, {name}, fit {fit_s:.1f} s, load {os.getloadavg()[0]:.1f}: {json.dumps(row)} "
                f"hr@20 between {low:.4f} and {high:.4f}",
                flush=True,
            )
    predictor = PurchasePredictor(arguments.window_days).fit(split.train)
    print(json.dumps(predictor.report()["held_out"]))


if __name__ == "__main__":
    main()
