"""Ours beside RecTools on Beauty's validation cases, one core each, one after the other, in one run.

benchmarks/recommending/make_rivals_env.sh
python -m benchmarks.recommending.side_by_side
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.recommending.data import CHECKOUT, Task, beauty, sample_cases
from ecom_pipeline.recommending import NextItemRecommender, evaluate

PYTHON = CHECKOUT / "benchmarks" / ".envs" / "recommending" / "bin" / "python"
RIVAL = Path(__file__).with_name("rectools_rival.py")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rivals", nargs="*", default=["esasrec"])
    parser.add_argument("--seconds", nargs="+", default=["90", "300"], help="seconds of fitting that a rival gets")
    parser.add_argument("--models", nargs="*", default=["blend", "gru"])
    parser.add_argument("--budgets", nargs="+", type=float, default=[5, 30, 90])
    parser.add_argument("--cases", type=int, default=6_000)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the rivals' environment")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})  # what is started from here inherits it
    task = sample_cases(beauty(tuning=True), arguments.cases)
    for model in arguments.models:
        for budget in arguments.budgets:
            print(json.dumps(_ours(task, model=model, budget=budget)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "task.npz"
        np.savez(
            file,
            user_id=task.events["user_id"].to_numpy(),
            item_id=task.events["item_id"].to_numpy(),
            position=task.events["position"].to_numpy(),
            target_user=task.targets["user_id"].to_numpy(),
            target_item=task.targets["item_id"].to_numpy(),
        )
        for rival in arguments.rivals:
            subprocess.run(
                [arguments.python, RIVAL, file, "--model", rival, "--seconds", *arguments.seconds], check=True
            )


def _ours(task: Task, *, model: str, budget: float) -> dict[str, float | str]:
    recommender = NextItemRecommender(model, repeats="exclude", time_budget_s=budget)  # type: ignore[arg-type]
    started, cpu = time.monotonic(), time.process_time()
    recommender.fit(task.events)
    fit_s, fit_cpu_s = time.monotonic() - started, time.process_time() - cpu
    metrics = evaluate(recommender, task.histories, task.targets, k=10, slices=False).metrics
    return {
        "model": model,
        "budget": budget,
        "fit_s": round(fit_s, 1),
        "fit_cpu_s": round(fit_cpu_s, 1),
        "hr@10": round(metrics["hr@10"], 4),
        "ndcg@10": round(metrics["ndcg@10"], 4),
    }


if __name__ == "__main__":
    main()
