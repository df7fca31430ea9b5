"""`NextItemRecommender`: fit on events, recommend for histories, find similar items, save and load.

What belongs here: the public face, from frames and ids to the arrays of the other modules and back.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ecom_pipeline.distributed.jobs import Runner
from ecom_pipeline.precision import Precision
from ecom_pipeline.recommending import fitting, reasons, similarity, storage
from ecom_pipeline.recommending.budget import Budget
from ecom_pipeline.recommending.content import read_traits
from ecom_pipeline.recommending.fitting import Model, NetworkModel
from ecom_pipeline.recommending.frames import Frame, FrameError, FrameKind, as_table, frame_kind, id_column, make_frame
from ecom_pipeline.recommending.ranker import POPULAR, Ranked, Ranker
from ecom_pipeline.recommending.reading import encode_ids, read_events
from ecom_pipeline.recommending.sources import Allowed, CoVisitationSource, EmbeddingSource
from ecom_pipeline.recommending.threads import in_order
from ecom_pipeline.sequences import EventSequences, Vocabulary

Repeats = Literal["allow", "exclude"]
Progress = Callable[[str, float], None]


class NotFittedError(RuntimeError):
    """The recommender has neither been fitted nor loaded."""


class NextItemRecommender:
    """What will a user look at, or buy, next?

    Args:
        model: "blend" (co-visitation, transitions, neighbours and networks, combined by a re-ranker learnt on
            held-out events), one network alone ("lstm", "gru", "simple_rnn", "transformer"), "co_visitation" or
            "popularity".
        repeats: "allow" recommends items of the history again (browsing); "exclude" never does (what is bought once).
        seed: of every random choice; the same data, settings and seed give the same model, unless a time budget
            cuts training.
        time_budget_s: seconds that a fit may take; None trains as long as the size of the data suggests.
        networks: the networks that a blend holds; none makes a blend that only counts, and fits in seconds.
        purchase_events: names of the events that mean "bought", for reasons.
        workers: have networks trained together, instead of this process; the clock then has no say.
        precision: in which networks are trained; "mixed_bfloat16" multiplies in bfloat16, which pays on a processor
            or a GPU that has instructions for it only. Scoring is float32 in any case.
    """

    def __init__(
        self,
        model: Model = "blend",
        repeats: Repeats = "allow",
        seed: int = 0,
        time_budget_s: float | None = None,
        *,
        networks: Sequence[NetworkModel] = ("gru",),
        purchase_events: Sequence[str] = ("purchase",),
        workers: Runner | None = None,
        precision: Precision = "float32",
    ) -> None:
        if model not in get_args(Model):
            raise ValueError(f"model must be one of {', '.join(get_args(Model))}, not {model!r}")
        if repeats not in get_args(Repeats):
            raise ValueError(f"repeats must be allow or exclude, not {repeats!r}")
        unknown = [name for name in networks if name not in get_args(NetworkModel)]
        if unknown:
            raise ValueError(f"networks must be of {', '.join(get_args(NetworkModel))}, not {unknown[0]!r}")
        if precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, not {precision!r}")
        if time_budget_s is not None and time_budget_s <= 0:
            raise ValueError(f"time_budget_s must be positive or None, not {time_budget_s}")
        self.model: Model = model
        self.repeats: Repeats = repeats
        self.seed = seed
        self.time_budget_s = time_budget_s
        self.networks = tuple(networks)
        self.purchase_events = tuple(purchase_events)
        self.workers = workers
        self.precision: Precision = precision
        self._ranker: Ranker | None = None
        self._items: pa.Table | None = None
        self._kind_names: tuple[str, ...] = ()
        self._report: dict[str, Any] = {}

    def fit(
        self,
        events: Frame,
        *,
        item_features: Frame | None = None,
        on_progress: Progress | None = None,
    ) -> "NextItemRecommender":
        """Fit on all given events; validation is their end, and the final model has learnt from it too.

        Args:
            events: user_id, item_id, and position or event_ts; optionally event (its type).
            item_features: item_id; optionally name and category, used in reasons. Every other column of text or
                integers, and category, is a trait by which a blend proposes items that have hardly any events, or
                none yet.
            on_progress: called with a few words and the share done, between 0 and 1.

        Raises:
            FrameError: for missing columns, nulls or wrong types.
            ValueError: for no events at all.
        """
        log, vocabulary = _read_log(events, item_features)
        plan = self._plan(vocabulary, item_features, on_progress)
        self._keep(fitting.fit(log, plan), log, vocabulary, item_features)
        return self

    def refit(
        self,
        events: Frame,
        *,
        item_features: Frame | None = None,
        time_budget_s: float | None = None,
        on_progress: Progress | None = None,
    ) -> "NextItemRecommender":
        """Another recommender, with the choices of this one, fitted on `events`: all of them, older ones included.

        Nothing is held out: what was chosen stays, the re-ranker too. Counts are taken anew; networks are trained anew,
        or, on logs so long that they are read once at most, go on from their weights.

        Args:
            events, item_features, on_progress: as of `fit`.
            time_budget_s: seconds that the refit may take.
        """
        ranker, before = self._fitted()
        other = NextItemRecommender(
            self.model,
            self.repeats,
            self.seed,
            time_budget_s,
            networks=self.networks,
            purchase_events=self.purchase_events,
            workers=self.workers,
            precision=self.precision,
        )
        # the re-ranker knows the event types by their numbers
        log, vocabulary = _read_log(events, item_features, kind_names=self._kind_names)
        plan = other._plan(vocabulary, item_features, on_progress)
        if "new_items" not in ranker.sources:
            plan.traits = None
        elif plan.traits is None:
            raise ValueError("item_features: the fit had traits of items; give the refit the same columns")
        known = encode_ids(before, vocabulary.ids, name="events")
        other._keep(fitting.refit(log, plan, ranker, self._report, known), log, vocabulary, item_features)
        return other

    def _plan(self, vocabulary: Vocabulary, item_features: Frame | None, on_progress: Progress | None) -> fitting.Plan:
        return fitting.Plan(
            traits=None if item_features is None else read_traits(item_features, vocabulary.ids),
            model=self.model,
            networks=self.networks,
            repeats_allowed=self.repeats == "allow",
            seed=self.seed,
            budget=Budget(self.time_budget_s),
            on_progress=on_progress,
            workers=self.workers,
            precision=self.precision,
        )

    def _keep(
        self, fitted: fitting.Fitted, log: EventSequences, vocabulary: Vocabulary, item_features: Frame | None
    ) -> None:
        self._ranker = fitted.ranker
        self._kind_names = log.kind_names
        self._items = _item_table(vocabulary, item_features)
        self._report = {**fitted.report, "settings": fitted.settings}

    def report(self) -> dict[str, Any]:
        """What was chosen, validation figures by source (HR, NDCG, MRR at 5, 10, 20, and n), losses by epoch,
        seconds, and whether the clock cut the fit short (`cut_short_by_clock`)."""
        self._fitted()
        return self._report

    def recommend(
        self,
        histories: Frame,
        k: int = 20,
        *,
        candidates: Any | None = None,
        blocked: Any | None = None,
    ) -> Frame:
        """The k next items of every user of `histories`, best first.

        Args:
            histories: user_id, item_id, and position or event_ts (optionally event); users need not have been in
                `fit`. A row with a null item_id names a user without events.
            k: items a user; fewer where fewer are allowed.
            candidates: ids of the only items that may be recommended (still sold, in stock); None allows all.
            blocked: ids that are never recommended.

        Returns:
            A frame of the caller's kind: user_id, rank (from 1), item_id, score (comparable within a user), source,
            reason, reason_item_id (null where none), is_repeat, fallback. Users in order of first appearance.
        """
        tables = list(self.recommend_blocks(histories, k, candidates=candidates, blocked=blocked))
        kind = frame_kind(histories)
        if not tables:
            return make_frame({name: pa.array([]) for name in OUTPUT_COLUMNS}, kind)
        table = pa.concat_tables(tables)
        return table.to_pandas() if kind == "pandas" else table

    def recommend_blocks(
        self,
        histories: Frame,
        k: int = 20,
        *,
        candidates: Any | None = None,
        blocked: Any | None = None,
    ) -> Iterator[pa.Table]:
        """As `recommend`, a block of users at a time: memory does not grow with the number of users beyond the
        histories."""
        ranker, vocabulary = self._fitted()
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        log, _ = read_events(histories, name="histories", vocabulary=vocabulary, kind_names=self._kind_names)
        allowed = self._allowed(candidates, blocked, vocabulary)

        def recommended(users: np.ndarray) -> pa.Table:
            block = log.select(users)
            return self._output(block, ranker.rank(block, k, allowed=allowed))

        yield from in_order(recommended, ranker.blocks(len(log)))

    def similar_items(
        self,
        item_ids: Any,
        k: int = 20,
        *,
        candidates: Any | None = None,
        blocked: Any | None = None,
        kind: FrameKind = "arrow",
    ) -> Frame:
        """The k most similar items of each id: item_id, rank, similar_item_id, score (0 to 1), as Arrow or pandas.

        `candidates` and `blocked` say which items may stand as similar ones, as in `recommend`. Ids that the model does
        not know, and neighbours beyond those it has, give no rows.
        """
        ranker, vocabulary = self._fitted()
        ids = id_column(pa.table({"item_id": pa.array(item_ids)}), "item_id", name="item_ids")
        codes = encode_ids(vocabulary, ids, name="item_ids")
        codes = codes[codes >= 0]
        found, scores = similarity.most_similar(
            ranker, codes, k, allowed=self._allowed(candidates, blocked, vocabulary)
        )
        row, place = np.nonzero(found >= 0)
        columns = {
            "item_id": vocabulary.decode(codes[row]),
            "rank": pa.array((place + 1).astype(np.int32)),
            "similar_item_id": vocabulary.decode(found[row, place]),
            "score": pa.array(scores[row, place]),
        }
        return make_frame(columns, kind)

    def user_states(self, histories: Frame) -> tuple[pa.Array, np.ndarray] | None:
        """Users of `histories` in order of first appearance, and the state float32 (users, width) that the sequence
        network is in after their last event; zeros where it knows none of their items. None where the recommender
        holds no network."""
        ranker, vocabulary = self._fitted()
        source = next((one for one in ranker.sources.values() if isinstance(one, EmbeddingSource)), None)
        if source is None:
            return None
        log, _ = read_events(histories, name="histories", vocabulary=vocabulary, kind_names=self._kind_names)
        return log.users, source.states(log)

    def save(self, folder: str | Path) -> None:
        """Write the fitted recommender into a folder: arrays, items, and `manifest.json`."""
        ranker, _ = self._fitted()
        manifest = {
            "model": self.model,
            "repeats": self.repeats,
            "seed": self.seed,
            "time_budget_s": self.time_budget_s,
            "networks": list(self.networks),
            "purchase_events": list(self.purchase_events),
            "precision": self.precision,
            "kind_names": list(self._kind_names),
            "source_order": list(ranker.sources),
            "report": self._report,
        }
        storage.save_ranker(ranker, self._item_table(), manifest, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "NextItemRecommender":
        """A recommender as `save` wrote it; it recommends exactly what the saved one did. Runs no code from the
        folder."""
        ranker, items, manifest = storage.load_ranker(Path(folder))
        recommender = cls(
            model=manifest["model"],
            repeats=manifest["repeats"],
            seed=manifest["seed"],
            time_budget_s=manifest["time_budget_s"],
            networks=manifest["networks"],
            purchase_events=manifest["purchase_events"],
            precision=manifest.get("precision", "float32"),  # absent in folders of before
        )
        recommender._ranker, recommender._items = ranker, items
        recommender._kind_names = tuple(manifest["kind_names"])
        recommender._report = manifest["report"]
        return recommender

    def item_ids(self) -> pa.Array:
        """Ids of the catalogue that the model knows."""
        return self._fitted()[1].ids

    def item_counts(self) -> np.ndarray:
        """Events of each item in the fit, float32, in the order of `item_ids`."""
        return self._fitted()[0].popularity.counts

    def _fitted(self) -> tuple[Ranker, Vocabulary]:
        if self._ranker is None:
            raise NotFittedError("fit the recommender, or load one, before asking it for anything")
        return self._ranker, Vocabulary(ids=self._item_table().column("item_id").combine_chunks())

    def _item_table(self) -> pa.Table:
        if self._items is None:
            raise NotFittedError("fit the recommender, or load one, before asking it for anything")
        return self._items

    def _allowed(self, candidates: Any | None, blocked: Any | None, vocabulary: Vocabulary) -> Allowed:
        everything = self._fitted()[0].everything()
        if candidates is None and blocked is None:
            return everything
        allowed = np.ones(len(vocabulary), dtype=bool)
        if candidates is not None:
            allowed[:] = False
            codes = encode_ids(vocabulary, _ids(candidates, "candidates"), name="candidates")
            allowed[codes[codes >= 0]] = True
        if blocked is not None:
            codes = encode_ids(vocabulary, _ids(blocked, "blocked"), name="blocked")
            allowed[codes[codes >= 0]] = False
        return Allowed.of(allowed & (everything.place >= 0))

    def _output(self, block: EventSequences, ranked: Ranked) -> pa.Table:
        ranker, vocabulary = self._fitted()
        items = self._item_table()
        if self.model == "popularity":
            ranked = replace(ranked, proposer=np.full_like(ranked.proposer, POPULAR))
        main = next((s for s in ranker.sources.values() if isinstance(s, CoVisitationSource)), None)
        purchases = tuple(i for i, name in enumerate(self._kind_names) if name in self.purchase_events)
        why = reasons.find_reasons(
            block,
            ranked,
            strengths=None if main is None else main.model.matrix,
            decay=0.7 if main is None else main.model.settings.history_decay,
            purchase_kinds=purchases,
        )
        fallback = (ranked.proposer == POPULAR) & (self.model != "popularity")
        fallback |= (block.lengths == 0)[:, None]
        # without events only its traits speak for an item
        fallback |= ranker.popularity.counts[np.maximum(ranked.items, 0)] == 0
        rows, k = ranked.items.shape
        kept = np.flatnonzero(ranked.items.ravel() >= 0)
        flat = ranked.items.ravel()
        names = items.column("name").combine_chunks()
        categories = items.column("category").combine_chunks()
        reason_codes = why.items.ravel()
        text = reasons.reason_texts(
            why,
            names.take(pa.array(reason_codes, mask=reason_codes < 0)),
            categories.take(pa.array(flat, mask=flat < 0)),
            week=block.times is not None,
            kinds_known=block.kinds is not None,
        )
        # the code of popularity is negative: it counts from the end
        labels = np.array([*ranker.sources, "popularity"], dtype=object)
        source = labels[ranked.proposer.ravel()]
        owned = block.n_items * np.arange(rows, dtype=np.int64)
        is_repeat = np.isin(
            (owned[:, None] + np.maximum(ranked.items, 0)).ravel(),
            owned[block.owners] + block.items,
        )
        columns = {
            "user_id": block.users.take(pa.array(np.repeat(np.arange(rows), k))),
            "rank": pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), rows)),
            "item_id": vocabulary.decode(flat),
            "score": pa.array(ranked.scores.ravel()),
            "source": pa.array(source, type=pa.string()),
            "reason": text,
            "reason_item_id": vocabulary.decode(reason_codes),
            "is_repeat": pa.array(is_repeat),
            "fallback": pa.array(fallback.ravel()),
        }
        return pa.table(columns).take(pa.array(kept))


OUTPUT_COLUMNS = (
    "user_id",
    "rank",
    "item_id",
    "score",
    "source",
    "reason",
    "reason_item_id",
    "is_repeat",
    "fallback",
)


def _ids(values: Any, name: str) -> pa.Array:
    return id_column(pa.table({"item_id": pa.array(values)}), "item_id", name=name)


def _read_log(
    events: Frame, item_features: Frame | None, *, kind_names: tuple[str, ...] | None = None
) -> tuple[EventSequences, Vocabulary]:
    log, vocabulary = read_events(events, name="events", kind_names=kind_names)
    if not len(log.items):
        raise ValueError("events: no rows; a recommender needs at least one event")
    if item_features is not None:
        log, vocabulary = _with_new_items(log, vocabulary, item_features)
    return log, vocabulary


def _with_new_items(log: EventSequences, vocabulary: Vocabulary, features: Frame) -> tuple[EventSequences, Vocabulary]:
    """The same log over a vocabulary that also holds the items that have features and no events."""
    table = as_table(features, name="item_features", required=("item_id",))
    ids = pc.unique(id_column(table, "item_id", name="item_features"))
    if ids.type != vocabulary.ids.type:
        raise FrameError(f"item_features.item_id is {ids.type}, but events.item_id is {vocabulary.ids.type}")
    fresh = ids.filter(pc.invert(pc.is_in(ids, value_set=vocabulary.ids)))
    vocabulary = Vocabulary(ids=pa.concat_arrays([vocabulary.ids, fresh]))
    return replace(log, n_items=len(vocabulary)), vocabulary


def _item_table(vocabulary: Vocabulary, features: Frame | None) -> pa.Table:
    """item_id, name and category (strings, null where unknown) of every known item."""
    ids = vocabulary.ids
    name = ids.cast(pa.string())
    category: pa.Array = pa.nulls(len(ids), type=pa.string())
    if features is not None:
        table = as_table(features, name="item_features", required=("item_id",))
        place = pc.index_in(ids, value_set=id_column(table, "item_id", name="item_features"))
        if "name" in table.column_names:
            given = table.column("name").cast(pa.string()).combine_chunks().take(place)
            name = pc.coalesce(given, name)
        if "category" in table.column_names:
            category = table.column("category").cast(pa.string()).combine_chunks().take(place)
    return pa.table({"item_id": ids, "name": name, "category": category})
