"""RecTools on Beauty, fitted for so many seconds on one core, then scored over the whole catalogue.

Runs in an environment of its own, usually started by `benchmarks.recommending.side_by_side`:

benchmarks/.envs/recommending/bin/python benchmarks/recommending/rectools_rival.py TASK.npz --seconds 90 300

TASK.npz holds user_id, item_id, position of all events, and target_user, target_item of the cases.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

K = 10


def model_of(name: str, *, seconds: float, seed: int) -> SASRecModel:
    """SASRec with the full softmax, or eSASRec (LiGR layers, sampled softmax), stopped after so many seconds."""
    torch.manual_seed(seed)

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=1_000,
            max_time={"seconds": seconds},
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    # Beauty's sequences have 9 events on average: longer windows would be padding, which the rival pays for
    shared = {"n_factors": 128, "session_max_len": 20, "lr": 1e-3, "get_trainer_func": trainer}
    if name == "sasrec":
        return SASRecModel(**shared, loss="softmax")
    return SASRecModel(**shared, transformer_layers_type=LiGRLayers, loss="sampled_softmax", n_negatives=64)


def figures(model: SASRecModel, dataset: Dataset, users: np.ndarray, items: np.ndarray) -> dict[str, float]:
    """HR@10 and NDCG@10 over the whole catalogue, without what the user already had."""
    lists = model.recommend(users=users, dataset=dataset, k=K, filter_viewed=True)
    wanted = pd.Series(items, index=users)
    hits = lists[lists[Columns.Item].to_numpy() == wanted.loc[lists[Columns.User]].to_numpy()]
    gains = 1.0 / np.log2(hits[Columns.Rank].to_numpy() + 1.0)
    return {"hr@10": len(hits) / len(users), "ndcg@10": float(gains.sum()) / len(users)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", type=Path)
    parser.add_argument("--model", choices=["sasrec", "esasrec"], default="esasrec")
    parser.add_argument("--seconds", type=float, nargs="+", default=[90.0, 300.0])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    task = np.load(arguments.task)
    events = pd.DataFrame(
        {
            Columns.User: task["user_id"],
            Columns.Item: task["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2024-01-01") + pd.to_timedelta(task["position"], unit="h"),
        }
    )
    dataset = Dataset.construct(events)
    for seconds in arguments.seconds:
        model = model_of(arguments.model, seconds=seconds, seed=arguments.seed)
        started, cpu = time.monotonic(), time.process_time()
        model.fit(dataset)
        spent = {"fit_s": round(time.monotonic() - started, 1), "fit_cpu_s": round(time.process_time() - cpu, 1)}
        found = figures(model, dataset, task["target_user"], task["target_item"])
        print(json.dumps({"model": f"RecTools {arguments.model}", **spent, **found}), flush=True)


if __name__ == "__main__":
    main()
