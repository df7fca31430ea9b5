"""Resources: the shop that a run works on, its warehouse held open from the run's first step to its last.

The warehouse is held for the whole run, not for one step: a second run that came between two steps of a night would
replace the features under its models. The in-process executor starts resources once a run; an executor that starts
them once a step works too, and then a model step that finds the features of another night refuses them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from ecom_pipeline.orchestration.crashed_runs import alive
from ecom_pipeline.orchestration.observing import RunObserver, SilentObserver
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import SourceProfile, read_profile
from ecom_pipeline.warehouse import Warehouse, open_warehouse

SECONDS_BETWEEN_NOTICES = 30.0
WAREHOUSE_POOL = "warehouse"
"""Runs with a step in this pool, and that is every run, go one at a time; dagster.yaml of the home sets the limit."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop home as one run sees it: settings and profile as they were at its start, the warehouse open."""

    home: Home
    settings: Settings
    profile: SourceProfile
    warehouse: Warehouse
    observer: RunObserver


def shop_resource(root: Path) -> dg.ResourceDefinition:
    """The shop at `root`; its warehouse is closed again however the run ends."""

    @dg.resource(
        required_resource_keys={"observer"},
        description=f"The shop home {root.name}: settings, source profile, and its warehouse, open for this run alone.",
    )
    def shop(context: dg.InitResourceContext) -> Iterator[Shop]:
        if context.run is None:
            raise dg.DagsterInvariantViolationError("the shop is opened for a run, and there is none")
        home = Home(root)
        settings = home.settings()
        observer: RunObserver = context.resources.observer
        next_notice = 0.0

        def say_so(seconds: float) -> None:
            nonlocal next_notice
            observer.waiting(seconds)
            if seconds >= next_notice and context.log is not None:
                context.log.info(
                    f"Waiting for the warehouse: another run has it ({seconds:.0f} s so far). Nothing needs to be done."
                )
                next_notice = seconds + SECONDS_BETWEEN_NOTICES

        with (
            alive(home, context.run.run_id),
            open_warehouse(home.warehouse_file, settings, on_wait=say_so) as warehouse,
        ):
            yield Shop(
                home=home,
                settings=settings,
                profile=read_profile(settings.profile, base=home.root),
                warehouse=warehouse,
                observer=observer,
            )

    return shop


def observer_resource(observer: RunObserver | None = None) -> dg.ResourceDefinition:
    """Whoever watches the runs of this process."""
    return dg.ResourceDefinition.hardcoded_resource(observer if observer is not None else SilentObserver())
