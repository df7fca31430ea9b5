"""Fit, score and print: one line a seed, and mean and spread over seeds."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import get_args

import numpy as np

from benchmarks.recommending.data import Task, sample_cases
from ecom_pipeline.distributed.hosts import runner_here
from ecom_pipeline.precision import Precision
from ecom_pipeline.recommending import NextItemRecommender, evaluate


def main(make_task: Callable[..., Task], metrics: tuple[str, ...]) -> None:
    """The command line of a benchmark: model, seeds, budget, and `--tuning` for the validation protocol."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="blend")
    parser.add_argument("--networks", nargs="*", default=["gru"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--budget", type=float, default=None, help="seconds a fit may take")
    parser.add_argument("--tuning", action="store_true", help="score the validation cases, never the test")
    parser.add_argument("--cases", type=int, default=None, help="score only so many cases")
    parser.add_argument("--workers", type=int, default=None, help="train networks in so many processes together")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    arguments = parser.parse_args()
    task = make_task(tuning=arguments.tuning)
    if arguments.cases is not None:
        task = sample_cases(task, arguments.cases)
    found: list[dict[str, float]] = []
    for seed in arguments.seeds:
        recommender = NextItemRecommender(
            model=arguments.model,
            repeats=task.repeats,  # type: ignore[arg-type]
            seed=seed,
            time_budget_s=arguments.budget,
            networks=arguments.networks,
            workers=runner_here(arguments.workers),
            precision=arguments.precision,
        )
        started, cpu = time.monotonic(), time.process_time()
        recommender.fit(task.events)
        fit_s, fit_cpu_s = time.monotonic() - started, time.process_time() - cpu
        started = time.monotonic()
        result = evaluate(recommender, task.histories, task.targets, k=(5, 10, 20), slices=False)
        row = {name: result.metrics[name] for name in ("n", *metrics)}
        row |= {"fit_s": fit_s, "fit_cpu_s": fit_cpu_s, "score_s": time.monotonic() - started}
        found.append(row)
        report = recommender.report()
        print(json.dumps({"seed": seed, **{k: round(v, 4) for k, v in row.items()}}))
        print(json.dumps({key: report.get(key) for key in ("chosen", "seconds", "validation")}), file=sys.stderr)
    print(f"{task.name} {arguments.model} load {os.getloadavg()[0]:.1f}", end=" ")
    for name in (*metrics, "fit_s", "fit_cpu_s", "score_s"):
        values = np.array([row[name] for row in found])
        print(f"{name} {values.mean():.4f}±{values.std(ddof=1) if len(values) > 1 else 0.0:.4f}", end=" ")
    print(flush=True)
