-- Question: Which weekdays sell best, and what do holidays do?
-- Reading: Mean sales of the whole shop by weekday over the last 364 days, ordinary days and public holidays apart, days on
--   which the shop takes no orders left out. index is 1 for the mean of all days.
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
days AS (
  SELECT s.date, s.quantity, s.revenue, s.orders, s.is_holiday
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - INTERVAL 364 DAY
  WHERE s.level = 'total' AND NOT s.is_closed
)
SELECT
  CASE WHEN is_holiday THEN 'holidays' ELSE strftime(date, '%A') END AS day,
  count(*) AS days,
  round(avg(quantity), 1) AS units_a_day,
  round(avg(revenue), 2) AS revenue_a_day,
  round(avg(orders), 1) AS orders_a_day,
  round(avg(quantity) / nullif((SELECT avg(quantity) FROM days), 0), 2) AS index
FROM days
GROUP BY day
ORDER BY min(CASE WHEN is_holiday THEN 8 ELSE isodow(date) END)
