"""Teaching a blend's re-ranker: candidates of held-out cases, and the size of the re-ranker chosen on folds.

What belongs here: from cases and sources to a re-ranker and its validation figures.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ecom_pipeline.recommending.budget import Budget
from ecom_pipeline.recommending.features import CandidateBlock, build_candidates, feature_names
from ecom_pipeline.recommending.metrics import ranking_metrics
from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.ranker import UNRANKED, Ranker
from ecom_pipeline.recommending.reranker import (
    Lesson,
    Reranker,
    lesson_scores,
    make_lesson,
    mean_log_loss,
    merge_rerankers,
    train_reranker,
)
from ecom_pipeline.recommending.sources import Source
from ecom_pipeline.recommending.threads import in_order
from ecom_pipeline.recommending.validation import Cases

VALIDATION_KS = (5, 10, 20)
FUSION = 0.5  # where the weight of each source's log share starts: as a plain fusion of the sources
FOLDS, MANY_CASES, RERANKER_SEEDS = 5, 1_500, 2
TEACHING_CASES = 10_000  # cases that a re-ranker learns from, at most
FEW_CASES = 500  # enough to stop at once the budget's deadline for gathering has passed
RERANKERS: dict[str, dict[str, Any]] = {
    "linear": {"hidden": 0, "decay": 0.03},
    "small": {"hidden": 12, "decay": 0.3},
    "large": {"hidden": 32, "decay": 0.03},
}


def learn_reranker(
    cases: Cases,
    sources: Mapping[str, Source],
    popularity: Popularity,
    report: dict[str, Any],
    *,
    repeats_allowed: bool,
    seed: int,
    budget: Budget,
) -> Reranker:
    """The re-ranker of a blend from held-out cases, each source's own figures beside it.

    Its size is chosen by the log loss on folds that did not teach it; the figures of the blend come from the first
    fold; the final one is the mean of several that learnt from all cases.
    """
    lesson, shares, fold, reached = _case_features(
        cases, sources, popularity, report, repeats_allowed=repeats_allowed, seed=seed, budget=budget
    )
    report["cases_looked_at"] = reached
    n = len(lesson.target)
    names = feature_names(sources, cases.histories.kind_names)
    start = np.array([FUSION if name.endswith("_log_share") else 0.0 for name in names])
    judged = np.flatnonzero(fold == 0)
    missed = round(len(judged) * (reached - n) / max(n, 1))
    for number, name in enumerate(sources):
        # what a source knows nothing of it does not propose, however few it proposes
        proposed = lesson.valid[judged] & (shares[judged, :, number] > 0.0)
        scores = np.where(proposed, shares[judged, :, number], -np.inf)
        report["validation"][name] = _metrics_of(scores, lesson.target[judged], missed)
    report["validation"]["candidate_recall"] = n / max(reached, 1)
    if not n:
        report["chosen"] = {"reranker": "fusion", "sources": list(sources)}
        weights = [np.zeros(shape, dtype=np.float32) for shape in ((len(start), 0), (0,), (0, 1))]
        ones = np.ones(len(start), dtype=np.float32)
        return Reranker(mean=0 * ones, scale=ones, weights=[*weights, start.astype(np.float32)[:, None]])
    losses: dict[str, float] = {}
    drafts: dict[str, Reranker] = {}
    for name, options in RERANKERS.items():
        found = []
        for number in range(FOLDS if n < MANY_CASES else 1):
            teach, judge = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            if not len(teach) or not len(judge):
                continue
            draft = train_reranker(lesson, teach, start=start, seed=seed, **options)
            found.append(mean_log_loss(draft, lesson, judge))
            if number == 0:
                drafts[name] = draft
        losses[name] = float(np.mean(found)) if found else float("inf")
    best = min(losses, key=lambda name: losses[name])
    if best in drafts:
        blended = lesson_scores(drafts[best], lesson, judged)
        report["validation"]["blend"] = _metrics_of(blended, lesson.target[judged], missed)
    report["chosen"] = {"reranker": best, "reranker_log_loss": losses, "sources": list(sources)}
    report["losses"]["reranker"] = drafts[best].history if best in drafts else []
    everything = np.arange(n)
    return merge_rerankers(
        [
            train_reranker(lesson, everything, start=start, seed=seed + number, **RERANKERS[best])
            for number in range(RERANKER_SEEDS)
        ]
    )


def _case_features(
    cases: Cases,
    sources: Mapping[str, Source],
    popularity: Popularity,
    report: dict[str, Any],
    *,
    repeats_allowed: bool,
    seed: int,
    budget: Budget,
) -> tuple[Lesson, np.ndarray, np.ndarray, int]:
    """The cases that can teach, each source's shares (cases, candidates, sources) beside them, the fold of each
    case, and how many cases were looked at until there were enough."""
    ranker = Ranker(sources=sources, popularity=popularity, reranker=None, repeats_allowed=repeats_allowed)
    rng = np.random.default_rng(seed)
    limit = budget.cases(scores_a_case=len(popularity.counts) * len(sources), most=len(cases))
    cases = cases.take(rng.permutation(len(cases))[:limit])
    deadline = budget.reranker_deadline()
    names = feature_names(sources, cases.histories.kind_names)
    blocks, targets, reached, taught = [], [], 0, 0
    allowed = ranker.everything()

    def candidates_of(users: np.ndarray) -> tuple[np.ndarray, CandidateBlock]:
        return users, build_candidates(
            cases.histories.select(users),
            sources=sources,
            popularity=popularity,
            n=ranker.candidates,
            repeats_allowed=repeats_allowed,
            allowed=allowed,
            targets=cases.targets[users],
        )

    for users, block in in_order(candidates_of, ranker.blocks(len(cases))):
        blocks.append(block)
        targets.append(cases.targets[users][block.rows])
        reached, taught = reached + len(users), taught + len(block.rows)
        late = deadline is not None and time.monotonic() > deadline
        if taught >= (FEW_CASES if late else TEACHING_CASES):
            report["cut_short_by_clock"] |= taught < TEACHING_CASES and reached < len(cases)
            break
    width = max((block.items.shape[1] for block in blocks), default=1)
    values = np.zeros((taught, width, len(names)), dtype=np.float32)
    items = np.full((taught, width), -1, dtype=np.int32)
    row = 0
    for block in blocks:
        rows, columns = block.items.shape
        values[row : row + rows, :columns], items[row : row + rows, :columns] = block.values, block.items
        row += rows
    target = np.concatenate(targets) if targets else np.zeros(0, dtype=np.int32)
    own = (items == target[:, None]).argmax(axis=1) if taught else np.zeros(0, dtype=np.int64)
    shares = values[..., [names.index(f"{name}_share") for name in sources]].copy()
    return make_lesson(values, items >= 0, own), shares, rng.integers(FOLDS, size=taught), reached


def _metrics_of(scores: np.ndarray, target: np.ndarray, missed: int) -> dict[str, float]:
    """Metrics of cases whose target is a candidate, and of `missed` more whose target is none; a score of -inf is a
    miss too."""
    own = scores[np.arange(len(target)), target]
    places = np.where(np.isfinite(own), (scores > own[:, None]).sum(axis=1), UNRANKED)
    ranks = np.concatenate([places, np.full(missed, UNRANKED)])
    return ranking_metrics(ranks, VALIDATION_KS)
