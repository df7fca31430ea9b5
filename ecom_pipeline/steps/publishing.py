"""Publishing a shop as its settings want it: which nights, under which name, with ids or keyed hashes.

A night that did not end (it failed, a check stopped it, its process was killed) has left some of its results in the
warehouse. They are published by nobody else: not by another night, and not between nights.
"""

from datetime import date

from ecom_pipeline import contracts
from ecom_pipeline.privacy.pseudonyms import hash_key
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import SourceProfile
from ecom_pipeline.steps.features import FEATURE_ORDER, build_feature, night_of, with_inputs
from ecom_pipeline.steps.trajectories import TRAJECTORY_ORDER, build_trajectory
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.publishing import PublishReport, publish

SYNTHETIC_PROFILE = "sample"
FIRST_STEP, PUBLISHING_STEP = "raw", "analytics"
"""Of a whole night; a run that lacks the first is one by hand, of some tables."""

_LATEST_RUNS = f"""
WITH nights AS (
  SELECT as_of, run_id, max(started_at) AS last_at,
    coalesce(bool_or(step = '{PUBLISHING_STEP}' AND status = 'succeeded'), FALSE) AS ended
  FROM runs WHERE as_of IS NOT NULL GROUP BY as_of, run_id
  HAVING bool_or(step = '{FIRST_STEP}')
)
SELECT as_of, arg_max(ended, last_at) AS ended, max(last_at) AS last_at FROM nights GROUP BY as_of
"""


def publish_shop(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    profile: SourceProfile,
    night: date | None = None,
) -> PublishReport:
    """Put the published file of a home in place; `night` is the one that publishes, None between nights.

    Tables that are not kept by night stand for the last night in it, also where a past night was run again.

    Raises:
        PrivacyError: if published ids are to be hashed and the key is missing.
        WarehouseError: as `publish`.
    """
    unfinished, ended = nights_by_end(warehouse)
    last = max((*ended, *([night] if night is not None else [])), default=None)
    if last is not None:
        _stand_for(warehouse, last, profile=profile, settings=settings)
    return publish(
        warehouse,
        target=home.published_file,
        keep_nights=settings.keep_nights,
        profile=settings.profile,
        is_synthetic=settings.profile == SYNTHETIC_PROFILE,
        hash_key=hash_key(settings),
        night=night,
        left_out=unfinished - {night},
    )


def nights_by_end(warehouse: Warehouse) -> tuple[frozenset[date], frozenset[date]]:
    """The nights whose last run did not end, and those whose last run did."""
    rows = warehouse.rows(_LATEST_RUNS)
    return frozenset(night for night, ended, _ in rows if not ended), frozenset(
        night for night, ended, _ in rows if ended
    )


def night_that_did_not_end(warehouse: Warehouse) -> date | None:
    """The night that was run last, if it did not end; else None."""
    rows = warehouse.rows(f"SELECT as_of, ended FROM ({_LATEST_RUNS}) AS latest ORDER BY last_at DESC LIMIT 1")
    return next((night for night, ended in rows if not ended), None)


def _stand_for(warehouse: Warehouse, night: date, *, profile: SourceProfile, settings: Settings) -> None:
    others = [name for name in FEATURE_ORDER if night_of(warehouse, name) not in (night, None)]
    for name in with_inputs(others):
        if night_of(warehouse, name) != night:
            build_feature(warehouse, name, profile=profile, settings=settings, as_of=night)
    for name in TRAJECTORY_ORDER:
        if not contracts.table(name).by_night and night_of(warehouse, name) not in (night, None):
            build_trajectory(warehouse, name, profile=profile, settings=settings, as_of=night)
