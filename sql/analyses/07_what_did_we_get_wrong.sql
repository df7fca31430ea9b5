-- Question: What did we get wrong in the last four weeks, and what may have been the reason?
-- Reading: The twenty largest misses of products, forecast at most seven days before. A positive error means that more was sold
--   than forecast. within_interval tells whether the day was within what the forecast had said to be likely: if so, it was bad luck
--   rather than a mistake. The reason is only what the data can tell: a product that is new or ran out the day before or after, a
--   promotion, a holiday, a day on which the whole shop went the same way, or on which more came back than was sold.
WITH night AS (
  SELECT max(target_date) AS last_day FROM sales_forecast_accuracy
),
misses AS (
  SELECT
    a.target_date, a.series_id, a.as_of, a.horizon, a.actual, a.mean, a.p10, a.p90, a.in_80, a.abs_error,
    row_number() OVER (PARTITION BY a.series_id, a.target_date ORDER BY a.as_of DESC) AS newest
  FROM sales_forecast_accuracy AS a
  JOIN night AS n ON a.target_date > n.last_day - INTERVAL 28 DAY
  WHERE a.level = 'product' AND a.measure = 'quantity' AND a.horizon <= 7
),
sold AS (
  SELECT
    series_id, date, on_promotion, is_holiday,
    lag(quantity IS NULL, 1, false) OVER (PARTITION BY series_id ORDER BY date) AS out_before,
    lead(quantity IS NULL, 1, false) OVER (PARTITION BY series_id ORDER BY date) AS out_after
  FROM sales_daily
  WHERE level = 'product'
),
shop AS (
  SELECT target_date, actual, p10, p90, row_number() OVER (PARTITION BY target_date ORDER BY as_of DESC) AS newest
  FROM sales_forecast_accuracy
  WHERE level = 'total' AND measure = 'quantity'
)
SELECT
  m.target_date,
  m.series_id AS item_id,
  i.name,
  m.actual,
  round(m.mean, 1) AS forecast,
  round(m.actual - m.mean, 1) AS error,
  m.horizon AS days_ahead,
  m.in_80 AS within_interval,
  CASE
    WHEN m.target_date - i.first_seen < 28 THEN 'new product'
    WHEN m.actual < m.mean AND (s.out_before OR s.out_after) THEN 'out of stock'
    WHEN s.on_promotion THEN 'promotion'
    WHEN s.is_holiday THEN 'holiday'
    WHEN (m.actual > m.mean AND t.actual > t.p90) OR (m.actual < m.mean AND t.actual < t.p10) THEN 'whole shop'
    WHEN m.actual < 0 THEN 'more came back than was sold'
    ELSE 'not known'
  END AS reason
FROM misses AS m
LEFT JOIN items AS i ON m.series_id = i.item_id
LEFT JOIN sold AS s ON s.series_id = m.series_id AND s.date = m.target_date
LEFT JOIN shop AS t ON m.target_date = t.target_date AND t.newest = 1
WHERE m.newest = 1
ORDER BY m.abs_error DESC, m.target_date, item_id
LIMIT 20
