"""The tables by our own steps: python -m benchmarks.peers.ours HOME NIGHT."""

import argparse
from datetime import date
from pathlib import Path

from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources import load_landing, read_profile, update_core
from ecom_pipeline.steps.features import build_feature, with_inputs
from ecom_pipeline.warehouse import open_warehouse

FEATURES = ("feat_sessions", "feat_sales_daily")
"""With what they are made from, all that is compared; `feat_sales_daily` holds the sales, and more."""


def main() -> None:
    """Load what is new in landing, and bring the tables to the night."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("night", type=date.fromisoformat)
    given = parser.parse_args()
    home, settings = Home(given.home), Settings(profile="sample", memory_limit="4GB", threads=2)
    profile = read_profile(settings.profile, base=home.root)
    with open_warehouse(home.warehouse_file, settings) as warehouse:
        load_landing(warehouse, landing=home.landing, profile=profile, run_id="peers")
        update_core(warehouse, profile=profile, run_id="peers")
        for name in with_inputs(FEATURES):
            build_feature(warehouse, name, profile=profile, settings=settings, as_of=given.night)


if __name__ == "__main__":
    main()
