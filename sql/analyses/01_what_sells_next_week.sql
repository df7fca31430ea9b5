-- Question: What will sell next week, and how sure are we?
-- Reading: The twenty products with the highest forecast for the seven days after the latest night. expected_units is
--   the forecast; the low and high columns add up the daily 80 % intervals as if all days went wrong in the same
--   direction, so the true range of a week is narrower. baseline_units is what the plain seasonal profile says.
SELECT
  f.series_id AS item_id,
  i.name,
  round(sum(f.mean), 1) AS expected_units,
  round(sum(f.p10), 1) AS low_units,
  round(sum(f.p90), 1) AS high_units,
  round(sum(f.baseline), 1) AS baseline_units,
  max(f.model) AS model
FROM sales_forecasts AS f
LEFT JOIN items AS i ON f.series_id = i.item_id
WHERE f.as_of = (SELECT max(as_of) FROM sales_forecasts)
  AND f.level = 'product'
  AND f.measure = 'quantity'
  AND f.horizon <= 7
GROUP BY f.series_id, i.name
ORDER BY expected_units DESC, item_id
LIMIT 20
