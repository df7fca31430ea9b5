"""The steps of a night as plain functions over the warehouse: no Dagster, no terminal."""
