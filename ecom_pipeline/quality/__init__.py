"""Data quality: contracts run as Great Expectations suites, and the checks that look beyond one table's rows."""

from ecom_pipeline.quality.results import CheckResult, TableValidation
from ecom_pipeline.quality.validation import raw_contract, validate

__all__ = ["CheckResult", "TableValidation", "raw_contract", "validate"]
