"""Which version of the recommender speaks in a night, and what stands in for it."""

from datetime import date

from ecom_pipeline.recommending import NextItemRecommender
from ecom_pipeline.recommending.storage import FORMAT_VERSION
from ecom_pipeline.registry import ModelName, ModelVersion, Registry, RegistryError
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.steps.features import require_night
from ecom_pipeline.steps.recommend_events import events_of_night, item_names
from ecom_pipeline.warehouse import Warehouse

MODEL: ModelName = "next_item"
SERVING, JUDGED, PURCHASES = "model", "judged", "purchases"
"""A version's two fits: on everything up to its cutoff, and on what came before its held-out days, for the gate of
later challengers. And what turns recommendations into probabilities of a purchase."""

FEATURES = ("feat_items", "feat_user_events")


def require_features(warehouse: Warehouse, as_of: date) -> None:
    """Make sure that the features that the recommender reads stand for the night `as_of`.

    Raises:
        FeatureError: if they stand for another night.
    """
    for name in FEATURES:
        require_night(warehouse, name, as_of=as_of)


def champion_of(registry: Registry, as_of: date) -> ModelVersion | None:
    """The champion, unless code made it whose files this code cannot read."""
    champion = registry.champion(MODEL, as_of)
    return champion if champion is not None and is_champion(champion) else None


def is_champion(version: ModelVersion) -> bool:
    """Whether a version was promoted, by code whose files this code can read."""
    return version.decision == "promoted" and version.manifest.settings.get("format") == FORMAT_VERSION


def version_of_night(registry: Registry, as_of: date) -> ModelVersion:
    """The champion of a night; without one the version trained last.

    Raises:
        RegistryError: if nothing was trained at or before the night.
    """
    version = champion_of(registry, as_of) or registry.latest(MODEL, as_of)
    if version is None:
        raise RegistryError(f"no {MODEL} was trained at or before {as_of}; train one first (train_recommender)")
    return version


def recommender_of_night(
    warehouse: Warehouse, *, home: Home, settings: Settings, as_of: date
) -> tuple[ModelVersion, NextItemRecommender | None]:
    """The champion; without one co-visitation fitted on the night's events, or None without any event."""
    require_features(warehouse, as_of)
    registry = Registry(home, settings)
    version = version_of_night(registry, as_of)
    if is_champion(version):
        return version, NextItemRecommender.load(registry.folder(version) / SERVING)
    events = events_of_night(warehouse, most=settings.next_item_events, seed=settings.seed)
    if not events.num_rows:
        return version, None
    stand_in = NextItemRecommender(model="co_visitation", repeats=settings.repeats, seed=settings.seed)
    return version, stand_in.fit(events, item_features=item_names(warehouse))
