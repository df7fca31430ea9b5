"""Quality against seconds of fitting, on the validation cases of Beauty: `python -m benchmarks.recommending.curve`."""

import argparse
import os
import time

from benchmarks.recommending.data import beauty, sample_cases
from ecom_pipeline.recommending import NextItemRecommender, evaluate


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--budgets", nargs="+", type=float, default=[5, 15, 30, 60, 90])
    parser.add_argument("--models", nargs="+", default=["co_visitation", "gru", "blend"])
    parser.add_argument("--cases", type=int, default=6_000)
    arguments = parser.parse_args()
    task = sample_cases(beauty(tuning=True), arguments.cases)
    for model in arguments.models:
        for budget in arguments.budgets if model != "co_visitation" else [arguments.budgets[-1]]:
            recommender = NextItemRecommender(model, repeats="exclude", time_budget_s=budget)
            started, cpu = time.monotonic(), time.process_time()
            recommender.fit(task.events)
            wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
            metrics = evaluate(recommender, task.histories, task.targets, k=10, slices=False).metrics
            print(
                f"{model} budget {budget:.0f} s: {wall_s:.1f} s by the clock, {cpu_s:.1f} CPU s, load "
                f"{os.getloadavg()[0]:.1f}: hr@10 {metrics['hr@10']:.4f} ndcg@10 {metrics['ndcg@10']:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
