"""Scores the rows that a rival wrote to benchmarks/out, with the same metrics as ours.

python -m benchmarks.forecasting.score_rival --task bakery_daily --rival lightgbm
"""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.forecasting.data import TASKS, load
from benchmarks.forecasting.tasks import figures, show
from ecom_pipeline.forecasting import scales_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--rival", default="lightgbm")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    arguments = parser.parse_args()
    task = TASKS[arguments.task]
    rows = pd.read_parquet(arguments.out / f"{arguments.rival}-{task.name}-test.parquet")
    cutoffs = [str(c) for c in rows["cutoff"].unique()]
    scales = scales_at(load(task), cutoffs, fill=task.fill)
    show(arguments.rival, figures(rows, scales, task))


if __name__ == "__main__":
    main()
