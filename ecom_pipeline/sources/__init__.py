"""Source profiles, and the ingest that they steer: landing files to raw tables to core tables."""

from ecom_pipeline.sources.core import CoreReport, update_core
from ecom_pipeline.sources.guess import Guess, guess_profile, render_profile
from ecom_pipeline.sources.landing import LoadReport, load_landing
from ecom_pipeline.sources.profile import SourceProfile, bundled_profiles, read_profile

__all__ = [
    "CoreReport",
    "Guess",
    "LoadReport",
    "SourceProfile",
    "bundled_profiles",
    "guess_profile",
    "load_landing",
    "read_profile",
    "render_profile",
    "update_core",
]
