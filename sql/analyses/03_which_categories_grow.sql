-- Question: Which categories are expected to grow or shrink over the next four weeks?
-- Reading: Units forecast for the next 28 days beside the units of the last 28; change is the difference as a share of what was
--   sold, and categories at the top grow most. change_a_year_ago is what the same weeks did a year (364 days) before: a change that is
--   about the same is the season, another one is news. Empty where the shop has no year of sales.
WITH night AS (
  SELECT max(as_of) AS as_of FROM sales_forecasts
),
expected AS (
  SELECT f.series_id, sum(f.mean) AS units
  FROM sales_forecasts AS f
  JOIN night AS n ON f.as_of = n.as_of
  WHERE f.level = 'category' AND f.measure = 'quantity' AND f.horizon <= 28
  GROUP BY f.series_id
),
sold AS (
  SELECT
    s.series_id,
    sum(s.quantity) FILTER (WHERE s.date > n.as_of - 28) AS units,
    sum(s.quantity) FILTER (WHERE s.date > n.as_of - 392 AND s.date <= n.as_of - 364) AS year_ago,
    sum(s.quantity) FILTER (WHERE s.date > n.as_of - 364 AND s.date <= n.as_of - 336) AS year_ago_after,
    min(s.date) <= max(n.as_of) - 391 AS has_year
  FROM sales_daily AS s
  JOIN night AS n ON s.date <= n.as_of
  WHERE s.level = 'category'
  GROUP BY s.series_id
)
SELECT
  e.series_id AS category,
  round(s.units, 0) AS units_last_28_days,
  round(e.units, 0) AS units_next_28_days,
  round((e.units - s.units) / nullif(s.units, 0), 3) AS change,
  CASE WHEN s.has_year THEN round((s.year_ago_after - s.year_ago) / nullif(s.year_ago, 0), 3) END AS change_a_year_ago
FROM expected AS e
JOIN sold AS s ON e.series_id = s.series_id
ORDER BY change DESC NULLS LAST, category
