"""ecom_pipeline: every night, a shop's exports in; forecasts and recommendations in DuckDB out."""

__version__ = "0.1.0"
