-- Forecasts of products in the last four weeks, each the newest made at least a day before, and what may explain a miss.
-- The reason is only what the data can tell.
WITH newest AS (
  SELECT
    a.target_date, a.series_id, a.as_of, a.horizon, a.actual, a.mean, a.p10, a.p90, a.in_80, a.abs_error,
    a.baseline_abs_error,
    row_number() OVER (PARTITION BY a.series_id, a.target_date ORDER BY a.as_of DESC) AS place
  FROM sales_forecast_accuracy AS a
  WHERE a.level = 'product' AND a.measure = 'quantity' AND a.target_date <= CAST(:as_of AS DATE)
    AND date_diff('day', a.target_date, CAST(:as_of AS DATE)) < 28
),
sold AS (
  SELECT
    series_id, date, on_promotion, is_holiday,
    lag(CASE WHEN quantity IS NULL THEN 1 ELSE 0 END, 1, 0) OVER (PARTITION BY series_id ORDER BY date) AS out_before,
    lead(CASE WHEN quantity IS NULL THEN 1 ELSE 0 END, 1, 0) OVER (PARTITION BY series_id ORDER BY date) AS out_after
  FROM sales_daily
  WHERE level = 'product' AND date_diff('day', date, CAST(:as_of AS DATE)) BETWEEN 0 AND 29
),
shop AS (
  SELECT
    target_date, actual, p10, p90,
    row_number() OVER (PARTITION BY target_date ORDER BY as_of DESC) AS place
  FROM sales_forecast_accuracy
  WHERE level = 'total' AND measure = 'quantity'
)
SELECT
  n.target_date, n.series_id AS item_id, i.name, n.actual, n.mean AS forecast, n.p10, n.p90, n.in_80, n.abs_error,
  n.baseline_abs_error, n.horizon,
  CASE
    WHEN date_diff('day', i.first_seen, n.target_date) < 28 THEN 'new product'
    WHEN n.actual < n.mean AND (s.out_before = 1 OR s.out_after = 1) THEN 'stock-out'
    WHEN s.on_promotion THEN 'promotion'
    WHEN s.is_holiday THEN 'holiday'
    WHEN (n.actual > n.mean AND t.actual > t.p90) OR (n.actual < n.mean AND t.actual < t.p10) THEN 'whole shop'
    ELSE 'not known'
  END AS reason
FROM newest AS n
LEFT JOIN items AS i ON n.series_id = i.item_id
LEFT JOIN sold AS s ON n.series_id = s.series_id AND n.target_date = s.date
LEFT JOIN shop AS t ON n.target_date = t.target_date AND t.place = 1
WHERE n.place = 1
