"""What if: forecasts under other prices, promotions and coupons, and how much stock the forecasts ask for.

`plan` reads a scenario file, `forecasting` forecasts under it, `reordering` computes stock from published quantiles,
`tables` declares what comes out, `keeping` puts it into `published/scenarios.duckdb`. docs/what-if.md says what is
assumed. Nothing is imported here: Dagster's definitions read the declarations alone, and stay free of pandas.
"""
