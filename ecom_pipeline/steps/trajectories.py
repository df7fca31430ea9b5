"""Shopping trajectories of one night: in which order the tables are built, and from what.

What belongs here: building the tables of contracts/trajectories.py from `sql/marts/`. What a table holds is said by
its SQL and contract; what the figures mean is told to readers in docs/trajectories.md.
"""

from datetime import date, timedelta

from ecom_pipeline import contracts
from ecom_pipeline.settings import Settings
from ecom_pipeline.sources import SourceProfile
from ecom_pipeline.steps.features import require_night
from ecom_pipeline.steps.refreshing import refresh
from ecom_pipeline.warehouse import Warehouse

TRAJECTORY_INPUTS: dict[str, tuple[str, ...]] = {
    "funnel_daily": ("feat_items", "feat_user_events", "feat_sessions"),
    "session_paths": ("feat_items", "feat_user_events", "feat_sessions"),
    "transitions_daily": ("feat_items", "feat_user_events", "feat_sessions"),
    "path_transitions": ("transitions_daily",),
    "path_sequences": ("session_paths",),
    "conversions_daily": ("feat_items", "feat_user_events"),
    "time_to_convert": ("conversions_daily",),
    "cohort_retention": ("feat_user_events",),
    "user_rfm": ("feat_user_events",),
    "rfm_segment_sizes": ("user_rfm",),
}
"""Trajectory table -> the tables that it reads, each of which must stand for the same night."""

TRAJECTORY_ORDER: tuple[str, ...] = tuple(TRAJECTORY_INPUTS)
"""An order in which every table comes after those that it reads."""


class TrajectoryError(RuntimeError):
    """A trajectory table cannot be built; the message says why and what to do."""


def build_trajectory(
    warehouse: Warehouse, table_name: str, *, profile: SourceProfile, settings: Settings, as_of: date
) -> int:
    """Build a trajectory table as of the end of the day `as_of`; returns the rows of this night.

    Tables kept night by night get this night's rows replaced. The others are rebuilt, and `feature_nights` then says
    for which night they stand. `profile` is taken as every step of a night takes it; the tables need nothing of it.

    Raises:
        TrajectoryError: if there is no such table.
        FeatureError: if a table that it reads stands for another night.
    """
    if table_name not in TRAJECTORY_INPUTS:
        raise TrajectoryError(f"{table_name}: no such trajectory table; there are {', '.join(TRAJECTORY_ORDER)}")
    for needed in TRAJECTORY_INPUTS[table_name]:
        require_night(warehouse, needed, as_of=as_of)
    parameters = {
        "as_of": as_of,
        "trajectory_days": settings.trajectory_days,
        "trajectory_since": as_of - timedelta(days=settings.trajectory_days - 1),
        "conversion_window_days": settings.conversion_window_days,
        "paths_kept": settings.paths_kept,
        "prices_known": bool(
            warehouse.rows("SELECT 1 FROM feat_user_events WHERE event = 'purchase' AND price IS NOT NULL LIMIT 1")
        ),
    }
    declared = contracts.table(table_name)
    if declared.by_night:
        return warehouse.replace_night(declared, as_of, parameters)
    return refresh(warehouse, declared, parameters, as_of=as_of)
