"""The same tables made by plain pandas and by dbt-duckdb, beside ours."""
