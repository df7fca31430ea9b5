"""Fitting: hold out the end of the log, choose on it, then fit everything again with the held-out events included.

What belongs here: which sources a model has, what is chosen on validation, the record of it, and the refit that keeps
what was chosen.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.precision import Precision
from ecom_pipeline.recommending.budget import FEWEST_POSITIONS, NETWORK_SHARE, REFIT_SHARE, Budget, schedule
from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.counting import LONG, WIDTH, fit_counting_sources
from ecom_pipeline.recommending.metrics import ranking_metrics
from ecom_pipeline.recommending.popularity import Popularity
from ecom_pipeline.recommending.ranker import Ranker
from ecom_pipeline.recommending.sources import CoVisitationSource, EmbeddingSource, PopularitySource, Source
from ecom_pipeline.recommending.spectral import Spectral
from ecom_pipeline.recommending.teaching import VALIDATION_KS, learn_reranker
from ecom_pipeline.recommending.validation import Cases, choose_holdout, hold_out
from ecom_pipeline.sequences import EventSequences

if TYPE_CHECKING:
    from ecom_pipeline.recommending.network_source import NetworkFit, NetworkSource

Model = Literal["blend", "lstm", "gru", "simple_rnn", "transformer", "co_visitation", "popularity"]
NetworkModel = Literal["lstm", "gru", "simple_rnn", "transformer"]
Progress = Callable[[str, float], None]
NETWORKS: tuple[str, ...] = ("lstm", "gru", "simple_rnn", "transformer")
JUDGED_CASES = 5_000  # held-out cases that a model without a re-ranker is judged on, at most
CHOOSING_CASES = 1_000  # likewise, where several settings are compared
WARM_RATE = 0.5  # of the learning rate, where a network goes on from its weights


@dataclass
class Plan:
    """What to fit: the model, its networks, limits, the traits of the items (items, values) where they are known, and
    the workers that train networks together, where it is not this process; in which precision networks are trained."""

    model: Model
    networks: tuple[NetworkModel, ...]
    repeats_allowed: bool
    seed: int
    budget: Budget
    traits: sparse.csr_array | None = None
    on_progress: Progress | None = None
    workers: Runner | None = None
    precision: Precision = "float32"

    def say(self, what: str, share: float) -> None:
        """Report progress: a few words, and the share of the fit that is done."""
        if self.on_progress is not None:
            self.on_progress(what, min(max(share, 0.0), 1.0))


@dataclass
class Fitted:
    """The ranker, and what was chosen with its validation figures."""

    ranker: Ranker
    report: dict[str, Any]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def fit(log: EventSequences, plan: Plan) -> Fitted:
    """Fit `plan.model` on a log; the record says what was chosen, on how many held-out cases, and how long each
    part took."""
    if plan.model == "popularity":
        return Fitted(ranker=_popularity(log, plan), report={"model": "popularity"})
    report: dict[str, Any] = {
        "model": plan.model,
        "n_events": len(log.items),
        "n_users": len(log),
        "n_items": log.n_items,
        "validation": {},
        "seconds": {},
        "losses": {},
        "cut_short_by_clock": False,
    }
    if plan.model == "co_visitation":
        return _fit_co_visitation(log, plan, report)
    if plan.model in NETWORKS:
        return _fit_network_alone(log, plan, report)
    return _fit_blend(log, plan, report)


def _held_out(log: EventSequences, plan: Plan, report: dict[str, Any]) -> tuple[EventSequences, Cases]:
    """The log before the held-out events, and the cases that they make; the report says how and how many."""
    how = choose_holdout(log, repeats_allowed=plan.repeats_allowed)
    train, cases = hold_out(log, how=how, seed=plan.seed)
    report |= {"holdout": how, "validation_cases": len(cases)}
    return train, cases


def refit(log: EventSequences, plan: Plan, before: Ranker, report: dict[str, Any], known: np.ndarray) -> Fitted:
    """The same choices on another log: counts are taken anew, networks are trained anew or go on from their weights,
    and the re-ranker stays.

    Args:
        log: all events, older ones included.
        plan: as for `fit`.
        before: a ranker that `fit` made.
        report: of that fit.
        known: code of each item of `log` in the earlier catalogue, int (items,), -1 for new ones.
    """
    begun = time.monotonic()
    report = {
        "cut_short_by_clock": False,
        **report,
        "n_events": len(log.items),
        "n_users": len(log),
        "n_items": log.n_items,
    }
    if plan.model == "popularity":
        return Fitted(ranker=_popularity(log, plan), report=report)
    if plan.model == "co_visitation":
        chosen = CoVisitationSettings(**report["chosen"])
        source = CoVisitationSource(CoVisitation.fit(log, chosen))
        settings = {"co_visitation": asdict(chosen)}
        return Fitted(ranker=_alone(source, Popularity.fit(log), plan), report=report, settings=settings)
    trained = _networks_of(before)
    plan.say("counting", 0.0)
    if plan.model in NETWORKS:
        spectral = Spectral.fit(CoVisitation.fit(log, LONG).matrix, width=WIDTH, seed=plan.seed)
        sources, settings = {}, {}
    else:
        counted = fit_counting_sources(log, repeats_allowed=plan.repeats_allowed, traits=plan.traits, seed=plan.seed)
        spectral, sources, settings = counted.spectral, counted.sources, counted.settings
    networks, losses = _train(
        log,
        plan,
        report,
        tuple(trained),
        spectral=spectral,
        share=REFIT_SHARE,
        span=(0.3, 1.0),
        before=trained,
        known=known,
    )
    settings |= {name: source.network.describe() for name, source in networks.items()}
    report["losses"] = report.get("losses", {}) | {
        f"{name}_of_the_refit": list(fit.losses) for name, fit in losses.items()
    }
    report["seconds"] = {**report.get("seconds", {}), "refit_on_more": time.monotonic() - begun}
    plan.say("done", 1.0)
    ranker = Ranker(
        # in the order in which the re-ranker knows them
        sources={name: {**sources, **networks}[name] for name in before.sources},
        popularity=Popularity.fit(log),
        reranker=before.reranker,
        repeats_allowed=plan.repeats_allowed,
    )
    return Fitted(ranker=ranker, report=report, settings=settings)


def _popularity(log: EventSequences, plan: Plan) -> Ranker:
    popularity = Popularity.fit(log)
    return _alone(PopularitySource(popularity.scores()), popularity, plan)


def _fit_co_visitation(log: EventSequences, plan: Plan, report: dict[str, Any]) -> Fitted:
    train, cases = _held_out(log, plan, report)
    grid = [
        CoVisitationSettings(history_decay=decay, target_power=power, repeats=plan.repeats_allowed)
        for decay in (0.5, 0.7)
        for power in (0.1, 0.3)
    ]
    sample = _sample(cases, CHOOSING_CASES, plan.seed)
    report["judged_cases"] = len(sample)
    popularity = Popularity.fit(train)
    best, best_score = grid[0], -1.0
    plan.say("co-visitation: counting", 0.0)
    for number, model in enumerate(CoVisitation.fit_several(train, grid)):
        plan.say("co-visitation: choosing", (number + 1) / (len(grid) + 2))
        metrics = ranking_metrics(
            _alone(CoVisitationSource(model), popularity, plan).target_ranks(sample, k=max(VALIDATION_KS)),
            VALIDATION_KS,
        )
        if len(sample) and metrics["mrr@20"] > best_score:
            best, best_score = model.settings, metrics["mrr@20"]
            report["validation"] = {"co_visitation": metrics}
    report["chosen"] = asdict(best)
    source = CoVisitationSource(CoVisitation.fit(log, best))
    plan.say("co-visitation: done", 1.0)
    return Fitted(
        ranker=_alone(source, Popularity.fit(log), plan),
        report=report,
        settings={"co_visitation": asdict(best)},
    )


def _fit_network_alone(log: EventSequences, plan: Plan, report: dict[str, Any]) -> Fitted:
    train, cases = _held_out(log, plan, report)
    name = str(plan.model)
    spectral = Spectral.fit(CoVisitation.fit(train, LONG).matrix, width=WIDTH, seed=plan.seed)
    first, fits = _train(train, plan, report, (name,), spectral=spectral, share=NETWORK_SHARE, span=(0.05, 0.45))
    sample = _sample(cases, JUDGED_CASES, plan.seed)
    report["judged_cases"] = len(sample)
    ranks = _alone(first[name], Popularity.fit(train), plan).target_ranks(sample, k=max(VALIDATION_KS))
    report["validation"] = {name: ranking_metrics(ranks, VALIDATION_KS)}
    spectral = Spectral.fit(CoVisitation.fit(log, LONG).matrix, width=WIDTH, seed=plan.seed)
    sources, again = _train(
        log,
        plan,
        report,
        (name,),
        spectral=spectral,
        share=NETWORK_SHARE,
        span=(0.5, 1.0),
        before=first,
        known=_same(log),
    )
    report["losses"] = {name: list(fits[name].losses), f"{name}_refitted": list(again[name].losses)}
    report["chosen"] = {"epochs": fits[name].epochs, "refitted_epochs": again[name].epochs}
    report["seconds"][name] = time.monotonic() - plan.budget.started
    return Fitted(
        ranker=_alone(sources[name], Popularity.fit(log), plan),
        report=report,
        settings={name: sources[name].network.describe()},
    )


def _fit_blend(log: EventSequences, plan: Plan, report: dict[str, Any]) -> Fitted:
    train, cases = _held_out(log, plan, report)
    clock = time.monotonic
    begun = clock()
    plan.say("counting", 0.0)
    counted = fit_counting_sources(train, repeats_allowed=plan.repeats_allowed, traits=plan.traits, seed=plan.seed)
    report["seconds"]["counting"], begun = clock() - begun, clock()
    first, fits = _train(
        train, plan, report, _worthwhile(train, plan), spectral=counted.spectral, share=NETWORK_SHARE, span=(0.05, 0.55)
    )
    report["losses"] = {name: list(one.losses) for name, one in fits.items()}
    report["seconds"]["networks"], begun = clock() - begun, clock()
    plan.say("re-ranker", 0.55)
    sources: dict[str, Source] = {**counted.sources, **first}
    reranker = learn_reranker(
        cases,
        sources,
        Popularity.fit(train),
        report,
        repeats_allowed=plan.repeats_allowed,
        seed=plan.seed,
        budget=plan.budget,
    )
    report["seconds"]["reranker"], begun = clock() - begun, clock()
    # on a large log the second fit would not fit beside the first; only its networks are gone on from
    del train, cases, counted, sources
    plan.say("refitting", 0.7)
    counted = fit_counting_sources(log, repeats_allowed=plan.repeats_allowed, traits=plan.traits, seed=plan.seed)
    networks, again = _train(
        log,
        plan,
        report,
        tuple(first),
        spectral=counted.spectral,
        share=NETWORK_SHARE,
        span=(0.75, 1.0),
        before=first,
        known=_same(log),
    )
    report["losses"] |= {f"{name}_refitted": list(one.losses) for name, one in again.items()}
    report["seconds"]["refit"] = clock() - begun
    report["seconds"]["all"] = clock() - plan.budget.started
    report["chosen"] |= {"epochs": {cell: one.epochs for cell, one in fits.items()}}
    plan.say("done", 1.0)
    ranker = Ranker(
        sources={**counted.sources, **networks},
        popularity=Popularity.fit(log),
        reranker=reranker,
        repeats_allowed=plan.repeats_allowed,
    )
    settings = counted.settings | {name: source.network.describe() for name, source in networks.items()}
    return Fitted(ranker=ranker, report=report, settings=settings)


def _worthwhile(log: EventSequences, plan: Plan) -> tuple[str, ...]:
    """The networks of a blend; none where the budget would leave them too little to learn from."""
    allowed = plan.budget.positions(NETWORK_SHARE, networks=len(plan.networks))
    return plan.networks if allowed >= min(len(log.items), FEWEST_POSITIONS) else ()


def _train(
    log: EventSequences,
    plan: Plan,
    report: dict[str, Any],
    cells: tuple[str, ...],
    *,
    spectral: Spectral,
    share: float,
    span: tuple[float, float],
    before: "dict[str, NetworkSource] | None" = None,
    known: np.ndarray | None = None,
) -> "tuple[dict[str, NetworkSource], dict[str, NetworkFit]]":
    """Networks by name, and the record of each; the report learns whether the clock took work from one.

    Every network starts from the spectral model of the log. Where the log is so long that it is read once at most, one
    that was trained `before` gives its weights instead: `known` says where its catalogue holds each item.
    """
    if not cells:
        return {}, {}
    from ecom_pipeline.recommending.network import NetworkSettings
    from ecom_pipeline.recommending.network_source import new_network, take_over, train_network
    from ecom_pipeline.recommending.training import TrainingSettings

    sources, fits = {}, {}
    positions = plan.budget.positions(share, networks=len(cells))
    epochs, events = schedule(len(log.items), positions)
    read = log if events == len(log.items) else log.newest(events)
    for number, cell in enumerate(cells):
        low, high = (span[0] + (span[1] - span[0]) * part / len(cells) for part in (number, number + 1))
        warm = epochs == 1 and before is not None and known is not None
        training = TrainingSettings(precision=plan.precision)
        network = new_network(
            log,
            NetworkSettings(cell=cell, width=WIDTH),  # type: ignore[arg-type]
            spectral,
            seed=plan.seed,
        )
        if warm and before is not None and known is not None:
            take_over(network, before[cell].network, known)
            training = replace(training, rate=training.rate * WARM_RATE)
        seen = np.bincount(log.items, minlength=log.n_items) > 0
        if plan.workers is not None:
            from ecom_pipeline.distributed.next_item import train_together

            sources[cell], fits[cell] = train_together(
                plan.workers, network, read, training=training, epochs=epochs, seed=plan.seed, seen=seen
            )
            continue
        left = plan.budget.left()
        say = partial(_say_part, plan, f"{cell}: {'going on' if warm else 'training'}", low, high)
        sources[cell], fits[cell] = train_network(
            network,
            read,
            training=training,
            epochs=epochs,
            seed=plan.seed,
            seen=seen,
            budget_s=None if left is None else left / (len(cells) - number),
            on_progress=say,
        )
        report["cut_short_by_clock"] |= fits[cell].cut_short_by_clock
    return sources, fits


def _say_part(plan: Plan, words: str, low: float, high: float, done: float) -> None:
    plan.say(words, low + (high - low) * done)


def _networks_of(ranker: Ranker) -> "dict[str, NetworkSource]":
    if not any(isinstance(source, EmbeddingSource) for source in ranker.sources.values()):
        return {}
    from ecom_pipeline.recommending.network_source import NetworkSource

    return {name: source for name, source in ranker.sources.items() if isinstance(source, NetworkSource)}


def _same(log: EventSequences) -> np.ndarray:
    """The catalogue did not change."""
    return np.arange(log.n_items)


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
