-- Question: Which products will run out of stock, and how many should be reordered?
-- Reading: Products whose stock does not cover the forecast of the next 14 days. days_left is stock by expected units a day;
--   reorder_units brings the stock up to the sum of the daily p90, a careful plan. Empty where the shop tells no stock.
WITH expected AS (
  SELECT series_id, sum(mean) AS units, sum(p90) AS careful_units, count(*) AS days
  FROM sales_forecasts
  WHERE as_of = (SELECT max(as_of) FROM sales_forecasts)
    AND level = 'product'
    AND measure = 'quantity'
    AND horizon <= 14
  GROUP BY series_id
)
SELECT
  e.series_id AS item_id,
  i.name,
  i.stock,
  round(e.units, 1) AS units_next_14_days,
  round(i.stock / nullif(e.units / e.days, 0), 1) AS days_left,
  ceil(e.careful_units - i.stock) AS reorder_units
FROM expected AS e
JOIN items AS i ON e.series_id = i.item_id
WHERE i.stock < e.units
ORDER BY days_left, item_id
LIMIT 20
