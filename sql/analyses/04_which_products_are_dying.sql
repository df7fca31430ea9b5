-- Question: Which products are dying?
-- Reading: Products that sold at least half less in the last 28 days than in the 28 before, and of which no more is
--   expected. days_since_sale counts from the latest night; lost_revenue is the difference of the two periods. A stock
--   of 0 tells of a product that is missing rather than dying.
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
sold AS (
  SELECT
    s.series_id,
    sum(CASE WHEN s.date > n.as_of - INTERVAL 28 DAY THEN s.quantity ELSE 0 END) AS units_now,
    sum(CASE WHEN s.date <= n.as_of - INTERVAL 28 DAY THEN s.quantity ELSE 0 END) AS units_before,
    sum(CASE WHEN s.date <= n.as_of - INTERVAL 28 DAY THEN s.revenue ELSE -s.revenue END) AS lost_revenue
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - INTERVAL 56 DAY AND s.date <= n.as_of
  WHERE s.level = 'product'
  GROUP BY s.series_id
),
expected AS (
  SELECT series_id, sum(mean) AS units
  FROM sales_forecasts
  WHERE as_of = (SELECT max(as_of) FROM sales_forecasts)
    AND level = 'product'
    AND measure = 'quantity'
    AND horizon <= 28
  GROUP BY series_id
)
SELECT
  s.series_id AS item_id,
  i.name,
  round(s.units_before, 1) AS units_28_to_56_days_ago,
  round(s.units_now, 1) AS units_last_28_days,
  round(e.units, 1) AS units_next_28_days,
  date_diff('day', i.last_sold, n.as_of) AS days_since_sale,
  round(s.lost_revenue, 2) AS lost_revenue,
  i.stock
FROM sold AS s
CROSS JOIN night AS n
LEFT JOIN items AS i ON s.series_id = i.item_id
LEFT JOIN expected AS e ON s.series_id = e.series_id
WHERE s.units_before >= 5
  AND s.units_now <= 0.5 * s.units_before
  AND coalesce(e.units, 0) <= 0.75 * s.units_before
ORDER BY s.units_before - s.units_now DESC, item_id
LIMIT 20
