-- Question: Which products will run out of stock, and how many should be reordered?
-- Reading: Products whose stock does not cover the forecast of the next 14 days. days_left is stock by expected units a day;
--   reorder_units brings the stock up to what is enough in about nine of ten such fortnights (errors of neighbouring days go together
--   by half, of days further apart by less). What is on order already is not known: take it off. For lead times and service levels
--   of your own: `ecom-pipeline reorder`. Empty where the shop tells no stock.
WITH days AS (
  SELECT series_id, horizon, mean, greatest(p90 - mean, 0) AS above
  FROM sales_forecasts
  WHERE as_of = (SELECT max(as_of) FROM sales_forecasts)
    AND level = 'product'
    AND measure = 'quantity'
    AND horizon <= 14
),
expected AS (
  SELECT series_id, sum(mean) AS units, count(*) AS days FROM days GROUP BY series_id
),
spread AS (
  SELECT a.series_id, sqrt(sum(a.above * b.above * power(0.5, abs(a.horizon - b.horizon)))) AS above
  FROM days AS a
  JOIN days AS b ON a.series_id = b.series_id
  GROUP BY a.series_id
)
SELECT
  e.series_id AS item_id,
  i.name,
  i.stock,
  round(e.units, 1) AS units_next_14_days,
  round(i.stock / nullif(e.units / e.days, 0), 1) AS days_left,
  ceil(e.units + s.above - i.stock) AS reorder_units
FROM expected AS e
JOIN spread AS s ON e.series_id = s.series_id
JOIN items AS i ON e.series_id = i.item_id
WHERE i.stock < e.units
ORDER BY days_left, item_id
LIMIT 20
