"""Fitting: hold out the end of the log, choose on it, then refit everything with the held-out events included.

What belongs here: which sources a model has, what is chosen on validation, and the record of it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.features import build_candidates, feature_names
from ecom_pipeline.recommending.interactions import Interactions
from ecom_pipeline.recommending.metrics import ranking_metrics
from ecom_pipeline.recommending.neighbours import Neighbours, NeighbourSettings
from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.reranker import Reranker, train_reranker
from ecom_pipeline.recommending.sources import CoVisitationSource, NeighbourSource, PopularitySource, Source
from ecom_pipeline.recommending.validation import Cases, choose_holdout, hold_out

Model = Literal["blend", "lstm", "gru", "simple_rnn", "transformer", "co_visitation", "popularity"]
NetworkModel = Literal["lstm", "gru", "simple_rnn", "transformer"]
Progress = Callable[[str, float], None]
NETWORKS: tuple[str, ...] = ("lstm", "gru", "simple_rnn", "transformer")
MODELS: tuple[str, ...] = ("blend", *NETWORKS, "co_visitation", "popularity")
VALIDATION_KS = (5, 10, 20)
NETWORK_POSITIONS = 800_000  # events that a network reads in all its epochs together, unless a budget says otherwise
MAX_EPOCHS = 20


@dataclass
class Plan:
    """What to fit: the model, its networks, and limits."""

    model: Model
    networks: tuple[NetworkModel, ...]
    repeats_allowed: bool
    seed: int
    time_budget_s: float | None
    on_progress: Progress | None = None
    started: float = field(default_factory=time.monotonic)

    def say(self, what: str, share: float) -> None:
        """Report progress: a few words, and the share of the fit that is done."""
        if self.on_progress is not None:
            self.on_progress(what, min(max(share, 0.0), 1.0))

    def left(self) -> float | None:
        """Seconds of the budget that are left; None where there is no budget."""
        if self.time_budget_s is None:
            return None
        return max(self.time_budget_s - (time.monotonic() - self.started), 0.0)


@dataclass
class Fitted:
    """The ranker, and what was chosen with its validation figures."""

    ranker: Ranker
    report: dict[str, Any]
    settings: dict[str, dict[str, Any]]


def fit(log: Interactions, plan: Plan) -> Fitted:
    """Fit `plan.model` on a log; the record says what was chosen, on how many held-out cases, and how long each part took."""
    if plan.model == "popularity":
        popularity = Popularity.fit(log)
        ranker = Ranker(
            sources={"popularity": PopularitySource(popularity.scores())},
            popularity=popularity,
            reranker=None,
            repeats_allowed=plan.repeats_allowed,
        )
        return Fitted(ranker=ranker, report={"model": "popularity"}, settings={})
    how = choose_holdout(log, repeats_allowed=plan.repeats_allowed)
    train, cases = hold_out(log, how=how, seed=plan.seed)
    report: dict[str, Any] = {
        "model": plan.model,
        "holdout": how,
        "n_events": len(log.items),
        "n_users": len(log),
        "n_items": log.n_items,
        "validation_cases": len(cases),
        "validation": {},
        "seconds": {},
    }
    if plan.model == "co_visitation":
        return _fit_co_visitation(log, train, cases, plan, report)
    if plan.model in NETWORKS:
        return _fit_network_alone(log, train, cases, plan, report)
    return _fit_blend(log, train, cases, plan, report)


def _fit_co_visitation(
    log: Interactions, train: Interactions, cases: Cases, plan: Plan, report: dict[str, Any]
) -> Fitted:
    grid = [
        CoVisitationSettings(history_decay=decay, target_power=power, repeats=plan.repeats_allowed)
        for decay in (0.5, 0.7)
        for power in (0.1, 0.3)
    ]
    sample = _sample(cases, 5_000, plan.seed)
    popularity = Popularity.fit(train)
    best, best_score = grid[0], -1.0
    for number, settings in enumerate(grid):
        plan.say("co-visitation: choosing", number / (len(grid) + 1))
        ranker = _alone(CoVisitationSource(CoVisitation.fit(train, settings)), popularity, plan)
        metrics = ranking_metrics(ranker.target_ranks(sample), VALIDATION_KS)
        if len(sample) and metrics["mrr@20"] > best_score:
            best, best_score = settings, metrics["mrr@20"]
            report["validation"] = {"co_visitation": metrics}
    report["chosen"] = asdict(best)
    source = CoVisitationSource(CoVisitation.fit(log, best))
    plan.say("co-visitation: done", 1.0)
    return Fitted(
        ranker=_alone(source, Popularity.fit(log), plan),
        report=report,
        settings={"co_visitation": asdict(best)},
    )


def _fit_network_alone(
    log: Interactions, train: Interactions, cases: Cases, plan: Plan, report: dict[str, Any]
) -> Fitted:
    half = None if plan.time_budget_s is None else plan.time_budget_s / 2
    source, fitted = fit_one_network(train, plan, plan.model, budget_s=half, label="training", span=(0.0, 0.45))
    ranker = _alone(source, Popularity.fit(train), plan)
    report["validation"] = {
        plan.model: ranking_metrics(ranker.target_ranks(_sample(cases, 5_000, plan.seed)), VALIDATION_KS)
    }
    report["losses"] = {plan.model: fitted.losses}
    source, fitted = fit_one_network(
        log, plan, plan.model, epochs=fitted.epochs, budget_s=plan.left(), label="refitting", span=(0.5, 1.0)
    )
    report["losses"][f"{plan.model}_refitted"] = list(fitted.losses)
    report["chosen"] = {"epochs": fitted.epochs}
    report["seconds"][plan.model] = time.monotonic() - plan.started
    settings = {plan.model: source.network.describe()}
    return Fitted(ranker=_alone(source, Popularity.fit(log), plan), report=report, settings=settings)


def _fit_blend(
    log: Interactions, train: Interactions, cases: Cases, plan: Plan, report: dict[str, Any]
) -> Fitted:
    begun = time.monotonic()
    sources, settings = fit_counting_sources(train, plan)
    half = None if plan.time_budget_s is None else plan.time_budget_s * 0.4
    epochs: dict[str, int] = {}
    report["losses"] = {}
    for number, cell in enumerate(plan.networks):
        budget = None if half is None else half / len(plan.networks)
        low, high = 0.05 + 0.4 * number / len(plan.networks), 0.05 + 0.4 * (number + 1) / len(plan.networks)
        source, fitted = fit_one_network(train, plan, cell, budget_s=budget, label="training", span=(low, high))
        sources[cell], epochs[cell] = source, fitted.epochs
        report["losses"][cell] = list(fitted.losses)
    report["seconds"]["sources"] = time.monotonic() - begun
    begun = time.monotonic()
    plan.say("re-ranker", 0.5)
    popularity = Popularity.fit(train)
    reranker = learn_reranker(cases, sources, popularity, plan, report)
    report["seconds"]["reranker"] = time.monotonic() - begun
    begun = time.monotonic()
    sources, settings = fit_counting_sources(log, plan)
    for number, cell in enumerate(plan.networks):
        left = plan.left()
        budget = None if left is None else left / (len(plan.networks) - number)
        low, high = 0.6 + 0.4 * number / len(plan.networks), 0.6 + 0.4 * (number + 1) / len(plan.networks)
        source, fitted = fit_one_network(
            log, plan, cell, epochs=epochs[cell], budget_s=budget, label="refitting", span=(low, high)
        )
        sources[cell] = source
        settings[cell] = source.network.describe()
        report["losses"][f"{cell}_refitted"] = list(fitted.losses)
    report["seconds"]["refit"] = time.monotonic() - begun
    report["chosen"] = {"epochs": epochs, "sources": list(sources)}
    plan.say("done", 1.0)
    ranker = Ranker(
        sources=sources,
        popularity=Popularity.fit(log),
        reranker=reranker,
        repeats_allowed=plan.repeats_allowed,
    )
    return Fitted(ranker=ranker, report=report, settings=settings)


def fit_counting_sources(
    log: Interactions, plan: Plan
) -> tuple[dict[str, Source], dict[str, dict[str, Any]]]:
    """The sources of a blend that only count, with their settings."""
    long = CoVisitationSettings(history_decay=0.6, repeats=plan.repeats_allowed)
    short = CoVisitationSettings(
        window=2, backward=0.1, decay=0.5, history_decay=0.3, repeats=plan.repeats_allowed
    )
    near = NeighbourSettings()
    sources: dict[str, Source] = {
        "co_visitation": CoVisitationSource(CoVisitation.fit(log, long)),
        "transitions": CoVisitationSource(CoVisitation.fit(log, short)),
        "neighbours": NeighbourSource(Neighbours.fit(log, near)),
    }
    return sources, {"co_visitation": asdict(long), "transitions": asdict(short), "neighbours": asdict(near)}


def fit_one_network(
    log: Interactions,
    plan: Plan,
    cell: str,
    *,
    epochs: int | None = None,
    budget_s: float | None,
    label: str,
    span: tuple[float, float],
) -> tuple[Any, Any]:
    """A network source and its record. The number of epochs follows from the size of the log unless it is given."""
    from ecom_pipeline.recommending.network import NetworkSettings
    from ecom_pipeline.recommending.network_source import fit_network
    from ecom_pipeline.recommending.training import TrainingSettings

    if epochs is None:
        epochs = int(np.clip(NETWORK_POSITIONS // max(len(log.items), 1), 2, MAX_EPOCHS))
    return fit_network(
        log,
        settings=NetworkSettings(cell=cell),  # type: ignore[arg-type]
        training=TrainingSettings(),
        epochs=epochs,
        seed=plan.seed,
        budget_s=budget_s,
        on_progress=lambda share: plan.say(f"{cell}: {label}", span[0] + (span[1] - span[0]) * share),
    )


def learn_reranker(
    cases: Cases,
    sources: Mapping[str, Source],
    popularity: Popularity,
    plan: Plan,
    report: dict[str, Any],
) -> Reranker:
    """The re-ranker of a blend from held-out cases, each source's own figures beside it.

    A fifth of the cases judges the re-ranker that the other four fifths taught; the final one learns from all.
    """
    features, items = _case_features(cases, sources, popularity, plan)
    hits = items == cases.targets[:, None]
    usable = hits.any(axis=1)
    valid = items >= 0
    target = hits.argmax(axis=1)
    judged = np.random.default_rng(plan.seed).random(len(cases)) < 0.2
    teach = usable & ~judged
    names = feature_names(sources, cases.histories.kind_names)
    for name in sources:
        scores = features[judged][..., names.index(f"{name}_log_share")]
        report["validation"][name] = _metrics_of(scores, valid[judged], hits[judged])
    draft = train_reranker(features[teach], valid[teach], target[teach], seed=plan.seed)
    report["validation"]["blend"] = _metrics_of(draft.score(features[judged]), valid[judged], hits[judged])
    report["validation"]["candidate_recall"] = float(usable.mean()) if len(cases) else float("nan")
    return train_reranker(features[usable], valid[usable], target[usable], seed=plan.seed)


def _case_features(
    cases: Cases, sources: Mapping[str, Source], popularity: Popularity, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    ranker = Ranker(
        sources=sources, popularity=popularity, reranker=None, repeats_allowed=plan.repeats_allowed
    )
    names = feature_names(sources, cases.histories.kind_names)
    blocks = [
        build_candidates(
            cases.histories.select(users),
            sources=sources,
            popularity=popularity,
            n=ranker.candidates,
            repeats_allowed=plan.repeats_allowed,
        )
        for users in ranker.blocks(len(cases))
    ]
    width = max((block.items.shape[1] for block in blocks), default=1)
    values = np.zeros((len(cases), width, len(names)), dtype=np.float32)
    items = np.full((len(cases), width), -1, dtype=np.int32)
    row = 0
    for block in blocks:
        rows, columns = block.items.shape
        values[row : row + rows, :columns], items[row : row + rows, :columns] = block.values, block.items
        row += rows
    return values, items


def _metrics_of(scores: np.ndarray, valid: np.ndarray, hits: np.ndarray) -> dict[str, float]:
    scores = np.where(valid, scores, -np.inf)
    found = hits.any(axis=1)
    own = np.where(found, np.take_along_axis(scores, hits.argmax(axis=1)[:, None], axis=1)[:, 0], np.inf)
    ranks = np.where(found, (scores > own[:, None]).sum(axis=1), np.iinfo(np.int64).max)
    return ranking_metrics(ranks, VALIDATION_KS)


def _alone(source: Source, popularity: Popularity, plan: Plan) -> Ranker:
    return Ranker(
        sources={plan.model: source},
        popularity=popularity,
        reranker=None,
        repeats_allowed=plan.repeats_allowed,
    )


def _sample(cases: Cases, n: int, seed: int) -> Cases:
    if len(cases) <= n:
        return cases
    return cases.take(np.sort(np.random.default_rng(seed).choice(len(cases), size=n, replace=False)))
