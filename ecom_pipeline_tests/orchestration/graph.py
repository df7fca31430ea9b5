"""The asset graph, jobs, schedule and sensor in a form that a snapshot holds.

After a change that is meant: python -m ecom_pipeline_tests.orchestration.graph
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from ecom_pipeline.definitions import build_defs

SNAPSHOT = Path(__file__).with_name("graph.json")


def described_graph(definitions: dg.Definitions) -> dict[str, Any]:
    """What the snapshot holds of the definitions."""
    checks: dict[str, list[str]] = {}
    for definition in definitions.asset_checks or ():
        for spec in definition.check_specs:
            checks.setdefault(spec.asset_key.to_user_string(), []).append(
                f"{spec.name} ({'blocks' if spec.blocking else 'warns'})"
            )
    assets = {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "by night": spec.partitions_def is not None,
            "deps": sorted(dependency.asset_key.to_user_string() for dependency in spec.deps),
            "checks": checks.get(spec.key.to_user_string(), []),
        }
        for spec in definitions.resolve_all_asset_specs()
    }
    jobs = {
        name: sorted(
            key.to_user_string() for key in definitions.resolve_job_def(name).asset_layer.executable_asset_keys
        )
        for name in ("ingest", "nightly")
    }
    schedule = definitions.resolve_schedule_def("every_night")
    return {
        "assets": dict(sorted(assets.items())),
        "jobs": jobs,
        "schedules": {schedule.name: [schedule.job_name, schedule.cron_schedule, schedule.execution_timezone]},
        "sensors": {"landing_sensor": definitions.resolve_sensor_def("landing_sensor").job_name},
    }


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        described = described_graph(build_defs(Path(folder)))
    SNAPSHOT.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
