"""The one place where assets, checks, jobs, schedule, sensor and resources meet.

`ECOM_PIPELINE_HOME` names the shop home; without it, it is the folder `data` in the current directory. Definitions
load before that home exists, with the settings of the bundled sample shop, so that a fresh clone can be looked at.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from ecom_pipeline.orchestration.alerting import alert_sensors
from ecom_pipeline.orchestration.assets.features import feature_assets
from ecom_pipeline.orchestration.assets.ingest import ingest_assets
from ecom_pipeline.orchestration.assets.marts import mart_assets
from ecom_pipeline.orchestration.assets.models import model_assets
from ecom_pipeline.orchestration.assets.people import people_assets
from ecom_pipeline.orchestration.assets.published import published_assets
from ecom_pipeline.orchestration.assets.rescoring import rescoring_asset
from ecom_pipeline.orchestration.assets.scenarios import scenario_asset, scenario_job
from ecom_pipeline.orchestration.assets.trajectories import trajectory_assets
from ecom_pipeline.orchestration.crashed_runs import crashed_runs_sensor
from ecom_pipeline.orchestration.decisions import decision_jobs
from ecom_pipeline.orchestration.jobs import INGEST_JOB, ingest_job, night_schedule, nightly_job
from ecom_pipeline.orchestration.landing import landing_sensor
from ecom_pipeline.orchestration.nights import SAMPLE_PROFILE, last_day_of_sample, night_partitions
from ecom_pipeline.orchestration.questions import all_checks
from ecom_pipeline.orchestration.resources import observer_resource, shop_resource
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import read_profile

ISOLATED = dg.multiprocess_executor.configured({"max_concurrent": 1}, name="one_process_a_step")
HOME_VARIABLE = "ECOM_PIPELINE_HOME"
DEFAULT_HOME = "data"


def build_defs(home: Path | None = None, overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """All definitions for one shop home (default: the environment's); `overrides` replaces resources by their keys.

    Raises:
        DocumentError: if the settings or the profile of the home cannot be used.
    """
    shop_home = Home(home if home is not None else Path(os.environ.get(HOME_VARIABLE, DEFAULT_HOME)))
    is_made = shop_home.settings_file.exists()
    settings = shop_home.settings() if is_made else Settings(profile=SAMPLE_PROFILE)
    profile = read_profile(settings.profile, base=shop_home.root)
    partitions = night_partitions(profile.shop.time_zone, until=last_day_of_sample(settings.profile))
    # The sample shop gets no new data, and a home that is not made yet cannot run; there, nothing starts by itself.
    runs_by_itself = is_made and settings.profile != SAMPLE_PROFILE
    watches = dg.DefaultSensorStatus.RUNNING if is_made else dg.DefaultSensorStatus.STOPPED
    return dg.Definitions(
        assets=[
            *ingest_assets(profile),
            *feature_assets(partitions),
            *model_assets(partitions),
            *mart_assets(partitions),
            *people_assets(partitions),
            *trajectory_assets(partitions),
            *published_assets(partitions),
            rescoring_asset(),
            scenario_asset(),
        ],
        asset_checks=all_checks(profile),
        jobs=[nightly_job(), ingest_job(), scenario_job(), *decision_jobs()],
        schedules=[
            night_schedule(
                settings.schedule_time,
                profile.shop.time_zone,
                default_status=dg.DefaultScheduleStatus.RUNNING if runs_by_itself else dg.DefaultScheduleStatus.STOPPED,
            )
        ],
        sensors=[
            landing_sensor(
                shop_home,
                INGEST_JOB,
                default_status=dg.DefaultSensorStatus.RUNNING if runs_by_itself else dg.DefaultSensorStatus.STOPPED,
            ),
            *alert_sensors(shop_home, default_status=watches),
            crashed_runs_sensor(shop_home, default_status=watches),
        ],
        resources={
            "shop": shop_resource(shop_home.root),
            "observer": observer_resource(),
            **(overrides or {}),
        },
        executor=ISOLATED if settings.isolate_steps else dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build_defs()
