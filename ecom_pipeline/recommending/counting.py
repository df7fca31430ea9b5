"""The sources of a blend that count and need no training.

What belongs here: which sources there are, and their settings.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy import sparse

from ecom_pipeline.recommending.co_visitation import CoVisitation, CoVisitationSettings
from ecom_pipeline.recommending.content import NewItems
from ecom_pipeline.recommending.neighbours import Neighbours, NeighbourSettings
from ecom_pipeline.recommending.sources import (
    CoVisitationSource,
    HistorySource,
    NeighbourSource,
    NewItemSource,
    Source,
    SpectralSource,
)
from ecom_pipeline.recommending.spectral import Spectral
from ecom_pipeline.sequences import EventSequences

WIDTH = 128  # of spectral embeddings and networks
LONG = CoVisitationSettings(history_decay=0.6)
SHORT = CoVisitationSettings(window=2, backward=0.1, decay=0.5, history_decay=0.3)


@dataclass(frozen=True)
class Counted:
    """The sources with their settings, and the spectral model that networks start from."""

    sources: dict[str, Source]
    settings: dict[str, dict[str, Any]]
    spectral: Spectral


def fit_counting_sources(
    log: EventSequences, *, repeats_allowed: bool, traits: sparse.csr_array | None, seed: int
) -> Counted:
    """Count a log. `traits` (items, values) of the items make new ones a source; None leaves that out."""
    long = replace(LONG, repeats=repeats_allowed)
    short = replace(SHORT, repeats=repeats_allowed)
    near = NeighbourSettings()
    co_visitation = CoVisitation.fit(log, long)
    spectral = Spectral.fit(co_visitation.matrix, width=WIDTH, seed=seed)
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
    if repeats_allowed:
        sources["history"] = HistorySource()
        settings["history"] = asdict(HistorySource())
    if traits is not None:
        sources["new_items"] = NewItemSource(NewItems.fit(traits, log))
    return Counted(sources=sources, settings=settings, spectral=spectral)
