"""What coverage costs in hits, on earlier days of tmall2014: `python -m benchmarks.recommending.trade`.

The split is at 2013-06-30 and its targets end at 2013-07-14, so that the days that models are compared on are not seen.
"""

import argparse

import pandas as pd

from benchmarks.recommending.tmall import load
from ecom_pipeline.recommending import NextItemRecommender, evaluate, global_temporal_split, trade_popularity

ASKED, K = 80, 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="*", default=["gru"])
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0])
    arguments = parser.parse_args()
    events = load()
    split = global_temporal_split(events, "2013-06-30", until="2013-07-14")
    recommender = NextItemRecommender(networks=arguments.networks).fit(split.train)
    lists = recommender.recommend(split.histories, k=ASKED)
    counts = pd.DataFrame({"item_id": recommender.item_ids().to_pylist(), "events": recommender.item_counts()})
    print("| strength | HR@20 | NDCG@20 | coverage@20 | share in the top 1 % | novelty@20 |\n|---|---|---|---|---|---|")
    for strength in arguments.strengths:
        traded = trade_popularity(lists, counts, strength=strength) if strength else lists
        shown = traded[traded["rank"] <= K]
        found = evaluate(recommender, split.histories, split.next_event, k=K, recommended=shown, slices=False).metrics
        figures = (found[name] for name in ("hr@20", "ndcg@20", "coverage@20", "top_share@20", "novelty@20"))
        print(f"| {strength:g} | " + " | ".join(f"{value:.4f}" for value in figures) + " |", flush=True)
    print(f"{len(split.next_event)} cases")


if __name__ == "__main__":
    main()
