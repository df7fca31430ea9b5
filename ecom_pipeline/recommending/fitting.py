"""Fitting: hold out the end of the log, choose on it, then refit everything with the held-out events included.

What belongs here: which sources a model has, what is chosen on validation, and the record of it.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.content import NewItems
from ecom_pipeline.recommending.interactions import Interactions
from ecom_pipeline.recommending.metrics import ranking_metrics
from ecom_pipeline.recommending.neighbours import Neighbours, NeighbourSettings
from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.sources import (
    CoVisitationSource,
    NeighbourSource,
    NewItemSource,
    PopularitySource,
    Source,
    SpectralSource,
)
from ecom_pipeline.recommending.spectral import Spectral
from ecom_pipeline.recommending.teaching import VALIDATION_KS, learn_reranker
from ecom_pipeline.recommending.validation import Cases, choose_holdout, hold_out

Model = Literal["blend", "lstm", "gru", "simple_rnn", "transformer", "co_visitation", "popularity"]
NetworkModel = Literal["lstm", "gru", "simple_rnn", "transformer"]
Progress = Callable[[str, float], None]
NETWORKS: tuple[str, ...] = ("lstm", "gru", "simple_rnn", "transformer")
MODELS: tuple[str, ...] = ("blend", *NETWORKS, "co_visitation", "popularity")
WIDTH = 128  # of spectral embeddings and networks
NETWORK_POSITIONS = 2_400_000  # events that a network reads in all its epochs together, unless a budget says otherwise
MIN_EPOCHS, MAX_EPOCHS = 1, 6
RERANKER_SHARE = 0.6  # of the budget: when the re-ranker stops gathering cases
TRAINING_SHARE = 0.4  # of the budget that is left: for training before the re-ranker and the refit
LONG = CoVisitationSettings(history_decay=0.6)
SHORT = CoVisitationSettings(window=2, backward=0.1, decay=0.5, history_decay=0.3)


@dataclass
class Plan:
    """What to fit: the model, its networks, limits, and the traits of the items (items, values) where they are
    known."""

    model: Model
    networks: tuple[NetworkModel, ...]
    repeats_allowed: bool
    seed: int
    time_budget_s: float | None
    traits: sparse.csr_array | None = None
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
    """Fit `plan.model` on a log; the record says what was chosen, on how many held-out cases, and how long each
    part took."""
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
    start = CoVisitation.fit(train, LONG)
    spectral = Spectral.fit(start.matrix, width=WIDTH, seed=plan.seed)
    source, fitted = fit_one_network(train, plan, plan.model, spectral=spectral, span=(0.05, 0.45))
    ranker = _alone(source, Popularity.fit(train), plan)
    report["validation"] = {
        plan.model: ranking_metrics(ranker.target_ranks(_sample(cases, 5_000, plan.seed)), VALIDATION_KS)
    }
    spectral = Spectral.fit(CoVisitation.fit(log, LONG).matrix, width=WIDTH, seed=plan.seed)
    source, again = fit_one_network(log, plan, plan.model, spectral=spectral, epochs=fitted.epochs, span=(0.5, 1.0))
    report["losses"] = {plan.model: list(fitted.losses), f"{plan.model}_refitted": list(again.losses)}
    report["chosen"] = {"epochs": fitted.epochs, "refitted_epochs": again.epochs}
    report["seconds"][plan.model] = time.monotonic() - plan.started
    settings: dict[str, dict[str, Any]] = {str(plan.model): source.network.describe()}
    return Fitted(ranker=_alone(source, Popularity.fit(log), plan), report=report, settings=settings)


def _fit_blend(log: Interactions, train: Interactions, cases: Cases, plan: Plan, report: dict[str, Any]) -> Fitted:
    clock = time.monotonic
    begun = clock()
    plan.say("counting", 0.0)
    counted = fit_counting_sources(train, plan)
    sources = counted.sources
    report["seconds"]["counting"], begun = clock() - begun, clock()
    trained: dict[str, Any] = {}
    report["losses"] = {}
    for number, cell in enumerate(plan.networks):
        low, high = (0.05 + 0.5 * part / len(plan.networks) for part in (number, number + 1))
        source, fitted = fit_one_network(train, plan, cell, spectral=counted.spectral, span=(low, high))
        sources[cell] = source
        trained[cell] = fitted
        report["losses"][cell] = list(fitted.losses)
    report["seconds"]["networks"], begun = clock() - begun, clock()
    plan.say("re-ranker", 0.55)
    reranker = learn_reranker(
        cases,
        sources,
        Popularity.fit(train),
        report,
        repeats_allowed=plan.repeats_allowed,
        seed=plan.seed,
        deadline=None if plan.time_budget_s is None else plan.started + RERANKER_SHARE * plan.time_budget_s,
    )
    report["seconds"]["reranker"], begun = clock() - begun, clock()
    plan.say("refitting", 0.7)
    counted = fit_counting_sources(log, plan)
    sources, settings = counted.sources, counted.settings
    for number, (name, fitted) in enumerate(trained.items()):
        low, high = (0.75 + 0.25 * part / len(plan.networks) for part in (number, number + 1))
        source, again = fit_one_network(
            log, plan, name, spectral=counted.spectral, epochs=fitted.epochs, span=(low, high)
        )
        sources[name] = source
        settings[name] = source.network.describe()
        report["losses"][f"{name}_refitted"] = list(again.losses)
    report["seconds"]["refit"] = clock() - begun
    report["seconds"]["all"] = clock() - plan.started
    report["chosen"] |= {"epochs": {cell: fitted.epochs for cell, fitted in trained.items()}}
    plan.say("done", 1.0)
    ranker = Ranker(
        sources=sources,
        popularity=Popularity.fit(log),
        reranker=reranker,
        repeats_allowed=plan.repeats_allowed,
    )
    return Fitted(ranker=ranker, report=report, settings=settings)


@dataclass(frozen=True)
class Counted:
    """The sources that need no training, with their settings, and the two that networks start from."""

    sources: dict[str, Source]
    settings: dict[str, dict[str, Any]]
    co_visitation: CoVisitation
    spectral: Spectral


def fit_counting_sources(log: Interactions, plan: Plan) -> Counted:
    """The sources of a blend that need no training, with their settings."""
    long = replace(LONG, repeats=plan.repeats_allowed)
    short = replace(SHORT, repeats=plan.repeats_allowed)
    near = NeighbourSettings()
    co_visitation = CoVisitation.fit(log, long)
    spectral = Spectral.fit(co_visitation.matrix, width=WIDTH, seed=plan.seed)
    sources: dict[str, Source] = {
        "co_visitation": CoVisitationSource(co_visitation),
        "transitions": CoVisitationSource(CoVisitation.fit(log, short)),
        "neighbours": NeighbourSource(Neighbours.fit(log, near)),
        "spectral": SpectralSource(spectral),
    }
    settings = {
        "co_visitation": asdict(long),
        "transitions": asdict(short),
        "neighbours": asdict(near),
        "spectral": {"width": WIDTH},
    }
    if plan.traits is not None:
        sources["new_items"] = NewItemSource(NewItems.fit(plan.traits, log))
    return Counted(sources=sources, settings=settings, co_visitation=co_visitation, spectral=spectral)


def fit_one_network(
    log: Interactions,
    plan: Plan,
    cell: str,
    *,
    spectral: Spectral,
    span: tuple[float, float],
    epochs: int | None = None,
) -> tuple[Any, Any]:
    """A network source and its record.

    Training chooses the number of epochs by the size of the log and the budget; the refit is given it (`epochs`).
    """
    from ecom_pipeline.recommending.network import NetworkSettings
    from ecom_pipeline.recommending.network_source import new_network, train_network
    from ecom_pipeline.recommending.training import TrainingSettings

    left = plan.left()
    words = f"{cell}: {'training' if epochs is None else 'refitting'}"
    n_networks = 1 if plan.model != "blend" else len(plan.networks)
    network = new_network(
        log,
        NetworkSettings(cell=cell, width=WIDTH),  # type: ignore[arg-type]
        spectral,
        seed=plan.seed,
    )
    return train_network(
        network,
        log,
        training=TrainingSettings(),
        epochs=epochs or int(np.clip(NETWORK_POSITIONS / max(len(log.items), 1), MIN_EPOCHS, MAX_EPOCHS)),
        seed=plan.seed,
        budget_s=None if left is None else left * (TRAINING_SHARE if epochs is None else 1.0) / n_networks,
        on_progress=lambda share: plan.say(words, span[0] + (span[1] - span[0]) * share),
    )


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
