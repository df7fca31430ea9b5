"""Between nights: users who did something since the last night get new recommendations from the standing model.

Nothing is trained. The rows of these users in the last night are replaced, and so are their purchase probabilities;
everybody else keeps what the night said.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import pyarrow as pa

from ecom_pipeline import contracts
from ecom_pipeline.quality import check_model_cutoffs, check_recommendations
from ecom_pipeline.recommending.frames import as_table
from ecom_pipeline.registry import Registry
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import SourceProfile
from ecom_pipeline.steps.features import build_feature, night_of, orders_tell_purchases, with_inputs
from ecom_pipeline.steps.publishing import night_that_did_not_end, nights_by_end
from ecom_pipeline.steps.recommend import of_night, predictor_of, recommended_blocks
from ecom_pipeline.steps.recommend_shaping import Shaping
from ecom_pipeline.steps.recommend_versions import FEATURES, recommender_of_night
from ecom_pipeline.warehouse import Warehouse, sql_text

Progress = Callable[[str, float], None]

_CHANGED = """
WITH fresh AS (
  SELECT user_id, count(*) AS events, max(event_date) AS last_date FROM fresh_user_events GROUP BY user_id
),
standing AS (
  SELECT user_id, count(*) AS events FROM feat_user_events GROUP BY user_id
)
SELECT fresh.user_id, fresh.events
FROM fresh
LEFT JOIN standing ON standing.user_id = fresh.user_id
LEFT JOIN rescored_users AS rescored ON rescored.user_id = fresh.user_id AND rescored.as_of = :as_of
WHERE fresh.events <> coalesce(rescored.events, standing.events, 0) AND fresh.last_date > :active_since
"""

_HISTORIES = """
SELECT fresh.user_id, fresh.item_id, fresh.position, fresh.event_ts, fresh.event
FROM fresh_user_events AS fresh
JOIN changed_users AS changed ON changed.user_id = fresh.user_id
WHERE fresh.event NOT IN ('return', 'remove')
ORDER BY fresh.user_id, fresh.position
"""


class RescoreError(RuntimeError):
    """Users cannot be scored again, or what came out must not be published; the message says why."""


@dataclass(frozen=True)
class RescoreReport:
    """The night whose rows were replaced (None before the first), of how many users, how many rows there are now, by
    which version, in how many seconds."""

    as_of: date | None
    users: int
    rows: int
    model_version: str | None
    seconds: float
    note: str | None = None


def rescore_users(
    warehouse: Warehouse,
    *,
    home: Home,
    settings: Settings,
    profile: SourceProfile,
    run_id: str,
    on_progress: Progress | None = None,
) -> RescoreReport:
    """Recommend again to users who have events that the last night, or the last rescoring since it, did not know.

    All of it happens in one transaction, which is undone if a check of the recommendations fails. Features that stand
    for another night, since a past one was run again, are built for the last night first.

    Raises:
        RescoreError: if a check fails.
        RegistryError: if the champion's files are damaged.
    """
    started = time.monotonic()
    progress = on_progress or _silent
    if (stopped := night_that_did_not_end(warehouse)) is not None:
        note = f"The night of {stopped} did not end, so new lists wait for the next night that does."
        return replace(_report(None, None, 0, 0, started), note=note)
    unfinished, _ = nights_by_end(warehouse)
    nights = {row[0] for row in warehouse.rows("SELECT DISTINCT as_of FROM recommendations")} - unfinished
    as_of: date | None = max(nights, default=None)
    today: date | None = warehouse.scalar("SELECT max(event_date) FROM core_events")
    if as_of is None or today is None:
        return _report(None, None, 0, 0, started)
    progress("new events", 0.0)
    with warehouse.transaction():
        for name in with_inputs(FEATURES):
            if night_of(warehouse, name) != as_of:
                build_feature(warehouse, name, profile=profile, settings=settings, as_of=as_of)
        changed = _find_changed_users(warehouse, settings=settings, as_of=as_of, today=max(today, as_of))
        if not changed.num_rows:
            return _report(as_of, None, 0, 0, started)
        histories = warehouse.arrow(_HISTORIES)
        progress("read the model", 0.1)
        version, recommender = recommender_of_night(warehouse, home=home, settings=settings, as_of=as_of)
        rows = 0
        for name in ("recommendations", "purchase_predictions", "rescored_users"):
            warehouse.run(
                f"DELETE FROM {name} WHERE as_of = :as_of AND user_id IN (SELECT user_id FROM changed_users)",
                {"as_of": as_of},
            )
        if recommender is not None and histories.num_rows:
            declared = contracts.table("recommendations")
            blocks = recommended_blocks(
                warehouse,
                recommender,
                histories,
                version=version,
                shaping=Shaping.of_night(warehouse, recommender, settings=settings).of_users(histories),
                settings=settings,
                as_of=as_of,
                on_progress=lambda stage, share: progress(stage, 0.2 + 0.6 * share),
            )
            rows = sum(warehouse.append_from_arrow(declared, block) for block in blocks)
            predictor = predictor_of(Registry(home, settings), version)
            recommended = warehouse.arrow(
                "SELECT made.user_id, made.item_id, made.rank, made.fallback FROM recommendations AS made "
                "JOIN changed_users AS changed ON changed.user_id = made.user_id "
                "WHERE made.as_of = :as_of ORDER BY made.user_id, made.rank",
                {"as_of": as_of},
            )
            if predictor is not None and recommended.num_rows:
                predicted = as_table(predictor.predict(histories, recommended), name="predictions", required=())
                warehouse.append_from_arrow(
                    contracts.table("purchase_predictions"), of_night(predicted, as_of=as_of, version=version)
                )
        warehouse.run(
            "INSERT INTO rescored_users (as_of, user_id, events) "
            "SELECT CAST(:as_of AS DATE), user_id, events FROM changed_users",
            {"as_of": as_of},
        )
        progress("check", 0.9)
        _refuse_what_is_wrong(warehouse, settings=settings, as_of=as_of, run_id=run_id)
    progress("done", 1.0)
    return _report(as_of, version.name, changed.num_rows, rows, started)


def _find_changed_users(warehouse: Warehouse, *, settings: Settings, as_of: date, today: date) -> pa.Table:
    """user_id, events of the users to score again; leaves them in `changed_users`, and all histories as they are now
    in `fresh_user_events`, for as long as the connection lasts."""
    warehouse.run(
        f"CREATE OR REPLACE TEMP TABLE fresh_user_events AS {sql_text('features', 'feat_user_events')}",
        {
            "as_of": today,
            "session_gap_minutes": settings.session_gap_minutes,
            "orders_tell": orders_tell_purchases(warehouse, as_of=today),
        },
    )
    warehouse.run(
        f"CREATE OR REPLACE TEMP TABLE changed_users AS {_CHANGED}",
        {"as_of": as_of, "active_since": as_of - timedelta(days=settings.active_user_days)},
    )
    return warehouse.arrow("SELECT user_id, events FROM changed_users ORDER BY user_id")


def _refuse_what_is_wrong(warehouse: Warehouse, *, settings: Settings, as_of: date, run_id: str) -> None:
    found = [
        check_recommendations(warehouse, settings=settings, as_of=as_of, run_id=run_id),
        *(
            check_model_cutoffs(warehouse, contracts.table(name), as_of=as_of, run_id=run_id)
            for name in ("recommendations", "purchase_predictions")
        ),
    ]
    broken = [validation.sentence for validation in found if validation.blocks]
    if broken:
        raise RescoreError(f"Nothing was changed: {' '.join(broken)}")


def _report(as_of: date | None, version: str | None, users: int, rows: int, started: float) -> RescoreReport:
    return RescoreReport(as_of=as_of, users=users, rows=rows, model_version=version, seconds=time.monotonic() - started)


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""
