"""Fitting: hold out the end of the log, choose on it, then refit everything with the held-out events included.

What belongs here: which sources a model has, what is chosen on validation, and the record of it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.features import build_candidates, feature_names
from ecom_pipeline.recommending.interactions import Interactions
from ecom_pipeline.recommending.metrics import ranking_metrics
from ecom_pipeline.recommending.neighbours import Neighbours, NeighbourSettings
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
from ecom_pipeline.recommending.sources import (
    CoVisitationSource,
    NeighbourSource,
    PopularitySource,
    Source,
    SpectralSource,
)
from ecom_pipeline.recommending.spectral import Spectral
from ecom_pipeline.recommending.validation import Cases, choose_holdout, hold_out

Model = Literal["blend", "lstm", "gru", "simple_rnn", "transformer", "co_visitation", "popularity"]
NetworkModel = Literal["lstm", "gru", "simple_rnn", "transformer"]
Progress = Callable[[str, float], None]
NETWORKS: tuple[str, ...] = ("lstm", "gru", "simple_rnn", "transformer")
MODELS: tuple[str, ...] = ("blend", *NETWORKS, "co_visitation", "popularity")
VALIDATION_KS = (5, 10, 20)
WIDTH = 128  # of spectral embeddings and networks
NETWORK_POSITIONS = 800_000  # events that a network reads in all its epochs together, unless a budget says otherwise
MIN_EPOCHS, MAX_EPOCHS = 1, 8
TRAINING_SHARE = 0.5  # of the budget that is left: for training before the re-ranker and the refit
REFIT_SHARE, REFIT_RATE = 0.34, 0.5  # epochs and learning rate of the refit, relative to the training
FUSION = 0.5  # where the weight of each source's log share starts: as a plain fusion of the sources
FOLDS, MANY_CASES, RERANKER_SEEDS = 5, 1_500, 2
TEACHING_CASES = 6_000  # cases that a re-ranker learns from, at most
RERANKERS: dict[str, dict[str, Any]] = {
    "linear": {"hidden": 0, "decay": 0.03},
    "small": {"hidden": 12, "decay": 0.3},
    "large": {"hidden": 32, "decay": 0.03},
}
LONG = CoVisitationSettings(history_decay=0.6)
SHORT = CoVisitationSettings(window=2, backward=0.1, decay=0.5, history_decay=0.3)


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
    start = CoVisitation.fit(train, LONG)
    spectral = Spectral.fit(start.matrix, width=WIDTH, seed=plan.seed)
    source, fitted = fit_one_network(train, plan, plan.model, spectral=spectral, span=(0.05, 0.7))
    ranker = _alone(source, Popularity.fit(train), plan)
    report["validation"] = {
        plan.model: ranking_metrics(ranker.target_ranks(_sample(cases, 5_000, plan.seed)), VALIDATION_KS)
    }
    source, again = refit_network(
        source, log, plan, plan.model, fitted.epochs, matrix=CoVisitation.fit(log, LONG).matrix, span=(0.75, 1.0)
    )
    report["losses"] = {plan.model: list(fitted.losses), f"{plan.model}_refitted": list(again.losses)}
    report["chosen"] = {"epochs": fitted.epochs, "refit_epochs": again.epochs}
    report["seconds"][plan.model] = time.monotonic() - plan.started
    settings = {plan.model: source.network.describe()}
    return Fitted(ranker=_alone(source, Popularity.fit(log), plan), report=report, settings=settings)


def _fit_blend(log: Interactions, train: Interactions, cases: Cases, plan: Plan, report: dict[str, Any]) -> Fitted:
    clock = time.monotonic
    begun = clock()
    plan.say("counting", 0.0)
    sources, _ = fit_counting_sources(train, plan)
    report["seconds"]["counting"], begun = clock() - begun, clock()
    trained: dict[str, Any] = {}
    report["losses"] = {}
    for number, cell in enumerate(plan.networks):
        low, high = (0.05 + 0.5 * part / len(plan.networks) for part in (number, number + 1))
        spectral = sources["spectral"]
        assert isinstance(spectral, SpectralSource)
        source, fitted = fit_one_network(train, plan, cell, spectral=spectral.model, span=(low, high))
        sources[cell] = source
        trained[cell] = (source, fitted)
        report["losses"][cell] = list(fitted.losses)
    report["seconds"]["networks"], begun = clock() - begun, clock()
    plan.say("re-ranker", 0.55)
    reranker = learn_reranker(cases, sources, Popularity.fit(train), plan, report)
    report["seconds"]["reranker"], begun = clock() - begun, clock()
    plan.say("refitting", 0.7)
    sources, settings = fit_counting_sources(log, plan)
    matrix = _matrix(sources["co_visitation"])
    for number, (cell, (source, fitted)) in enumerate(trained.items()):
        low, high = (0.75 + 0.25 * part / len(plan.networks) for part in (number, number + 1))
        source, again = refit_network(source, log, plan, cell, fitted.epochs, matrix=matrix, span=(low, high))
        sources[cell] = source
        settings[cell] = source.network.describe()
        report["losses"][f"{cell}_refitted"] = list(again.losses)
    report["seconds"]["refit"] = clock() - begun
    report["seconds"]["all"] = clock() - plan.started
    report["chosen"] |= {"epochs": {cell: fitted.epochs for cell, (_, fitted) in trained.items()}}
    plan.say("done", 1.0)
    ranker = Ranker(
        sources=sources,
        popularity=Popularity.fit(log),
        reranker=reranker,
        repeats_allowed=plan.repeats_allowed,
    )
    return Fitted(ranker=ranker, report=report, settings=settings)


def fit_counting_sources(log: Interactions, plan: Plan) -> tuple[dict[str, Source], dict[str, dict[str, Any]]]:
    """The sources of a blend that need no training, with their settings."""
    long = replace(LONG, repeats=plan.repeats_allowed)
    short = replace(SHORT, repeats=plan.repeats_allowed)
    near = NeighbourSettings()
    co_visitation = CoVisitation.fit(log, long)
    sources: dict[str, Source] = {
        "co_visitation": CoVisitationSource(co_visitation),
        "transitions": CoVisitationSource(CoVisitation.fit(log, short)),
        "neighbours": NeighbourSource(Neighbours.fit(log, near)),
        "spectral": SpectralSource(Spectral.fit(co_visitation.matrix, width=WIDTH, seed=plan.seed)),
    }
    settings = {
        "co_visitation": asdict(long),
        "transitions": asdict(short),
        "neighbours": asdict(near),
        "spectral": {"width": WIDTH},
    }
    return sources, settings


def fit_one_network(
    log: Interactions, plan: Plan, cell: str, *, spectral: Spectral, span: tuple[float, float]
) -> tuple[Any, Any]:
    """A network source and its record. The number of epochs follows from the size of the log, and from the budget."""
    from ecom_pipeline.recommending.network import NetworkSettings
    from ecom_pipeline.recommending.network_source import new_network, train_network
    from ecom_pipeline.recommending.training import TrainingSettings

    left = plan.left()
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
        epochs=int(np.clip(NETWORK_POSITIONS / max(len(log.items), 1), MIN_EPOCHS, MAX_EPOCHS)),
        seed=plan.seed,
        budget_s=None if left is None else left * TRAINING_SHARE / max(len(plan.networks), 1),
        on_progress=lambda share: plan.say(f"{cell}: training", span[0] + (span[1] - span[0]) * share),
    )


def refit_network(
    source: Any,
    log: Interactions,
    plan: Plan,
    cell: str,
    epochs: int,
    *,
    matrix: sparse.csr_array,
    span: tuple[float, float],
) -> tuple[Any, Any]:
    """The network trained on, briefly and gently, over the whole log, so that the held-out events are learnt too.

    Training from scratch again would double the time; what the network knows of the rest need not be learnt twice.
    """
    from ecom_pipeline.recommending.network_source import place_new_items, train_network
    from ecom_pipeline.recommending.training import TrainingSettings

    left = plan.left()
    place_new_items(source.network, source.seen.astype(np.float32), matrix)
    return train_network(
        source.network,
        log,
        training=TrainingSettings(rate=TrainingSettings().rate * REFIT_RATE),
        epochs=max(1, round(epochs * REFIT_SHARE)),
        seed=plan.seed + 1,
        budget_s=None if left is None else left / max(len(plan.networks), 1),
        on_progress=lambda share: plan.say(f"{cell}: refitting", span[0] + (span[1] - span[0]) * share),
    )


def learn_reranker(
    cases: Cases,
    sources: Mapping[str, Source],
    popularity: Popularity,
    plan: Plan,
    report: dict[str, Any],
) -> Reranker:
    """The re-ranker of a blend from held-out cases, each source's own figures beside it.

    Its size is chosen by the log loss on folds that did not teach it; the figures of the blend come from the first fold; the final one
    is the mean of several that learnt from all cases.
    """
    lesson, log_shares, fold, reached = _case_features(cases, sources, popularity, plan)
    n = len(lesson.target)
    names = feature_names(sources, cases.histories.kind_names)
    start = np.array([FUSION if name.endswith("_log_share") else 0.0 for name in names])
    judged = np.flatnonzero(fold == 0)
    missed = round(len(judged) * (reached - n) / max(n, 1))
    for number, name in enumerate(sources):
        scores = np.where(lesson.valid[judged], log_shares[judged, :, number], -np.inf)
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
            draft = train_reranker(lesson, teach, start=start, seed=plan.seed, **options)
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
            train_reranker(lesson, everything, start=start, seed=plan.seed + number, **RERANKERS[best])
            for number in range(RERANKER_SEEDS)
        ]
    )


def _case_features(
    cases: Cases, sources: Mapping[str, Source], popularity: Popularity, plan: Plan
) -> tuple[Lesson, np.ndarray, np.ndarray, int]:
    """The cases that can teach, each source's log shares (cases, candidates, sources) beside them, the fold of each case, and how many
    cases were looked at until there were enough."""
    ranker = Ranker(sources=sources, popularity=popularity, reranker=None, repeats_allowed=plan.repeats_allowed)
    rng = np.random.default_rng(plan.seed)
    cases = cases.take(rng.permutation(len(cases)))
    names = feature_names(sources, cases.histories.kind_names)
    blocks, targets, reached, taught = [], [], 0, 0
    for users in ranker.blocks(len(cases)):
        block = build_candidates(
            cases.histories.select(users),
            sources=sources,
            popularity=popularity,
            n=ranker.candidates,
            repeats_allowed=plan.repeats_allowed,
            targets=cases.targets[users],
        )
        blocks.append(block)
        targets.append(cases.targets[users][block.rows])
        reached, taught = reached + len(users), taught + len(block.rows)
        if taught >= TEACHING_CASES:
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
    shares = values[..., [names.index(f"{name}_log_share") for name in sources]].copy()
    return make_lesson(values, items >= 0, own), shares, rng.integers(FOLDS, size=taught), reached


def _metrics_of(scores: np.ndarray, target: np.ndarray, missed: int) -> dict[str, float]:
    """Metrics of cases whose target is a candidate, and of `missed` more whose target is none."""
    own = scores[np.arange(len(target)), target]
    ranks = np.concatenate([(scores > own[:, None]).sum(axis=1), np.full(missed, UNRANKED)])
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


def _matrix(source: Source) -> sparse.csr_array:
    assert isinstance(source, CoVisitationSource)
    return source.model.matrix
