"""Data quality: contracts run as Great Expectations suites, and the checks that look beyond one table's rows."""

from ecom_pipeline.quality.health import check_health
from ecom_pipeline.quality.ledger import check_bad_row_share, check_conservation
from ecom_pipeline.quality.outputs import check_forecasts, check_model_cutoffs, check_recommendations
from ecom_pipeline.quality.results import CheckResult, TableValidation
from ecom_pipeline.quality.track_record import check_track_record
from ecom_pipeline.quality.trainings import check_trainings
from ecom_pipeline.quality.validation import raw_contract, validate

__all__ = [
    "CheckResult",
    "TableValidation",
    "check_bad_row_share",
    "check_conservation",
    "check_forecasts",
    "check_health",
    "check_model_cutoffs",
    "check_recommendations",
    "check_track_record",
    "check_trainings",
    "raw_contract",
    "validate",
]
