-- Question: Which products are dying?
-- Reading: Products that sold at most half of their usual in the last 28 days, a fall beyond chance (two standard errors of such a
--   count), and of which at most three fifths of it are expected in the next. usual_units is their mean of 28 days over the twelve
--   weeks before, days out of stock left out; days_since_sale counts from the latest night. ends_on is a last day on sale that the
--   shop has announced; a stock of 0 tells of a product that is missing rather than dying, and stock beside a dying product is
--   what to clear. A season that ends looks the same.
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
sold AS (
  SELECT
    s.series_id,
    28 * avg(s.quantity) FILTER (WHERE s.date <= n.as_of - 28) AS usual_units,
    sum(s.quantity) FILTER (WHERE s.date > n.as_of - 28) AS units_now,
    28 * avg(s.revenue) FILTER (WHERE s.date <= n.as_of - 28)
      - coalesce(sum(s.revenue) FILTER (WHERE s.date > n.as_of - 28), 0) AS lost_revenue
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - 112 AND s.date <= n.as_of
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
  round(s.usual_units, 1) AS usual_units,
  round(coalesce(s.units_now, 0), 1) AS units_last_28_days,
  round(e.units, 1) AS units_next_28_days,
  date_diff('day', i.last_sold, n.as_of) AS days_since_sale,
  round(s.lost_revenue, 2) AS lost_revenue,
  i.stock,
  i.active_to AS ends_on
FROM sold AS s
CROSS JOIN night AS n
LEFT JOIN items AS i ON s.series_id = i.item_id
LEFT JOIN expected AS e ON s.series_id = e.series_id
WHERE s.usual_units >= 5
  AND coalesce(s.units_now, 0) <= 0.5 * s.usual_units
  AND s.usual_units - coalesce(s.units_now, 0) > 2 * sqrt(s.usual_units)
  AND coalesce(e.units, 0) <= 0.6 * s.usual_units
ORDER BY s.lost_revenue DESC NULLS LAST, item_id
LIMIT 20
