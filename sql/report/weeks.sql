-- Sales of the week up to the night, of the week before, and of the same weekdays a year (364 days) before; and the
-- week after the same weekdays a year before, to set beside the forecast of the next week.
SELECT
  w.week,
  count(*) AS days,
  sum(s.quantity) AS units,
  CASE WHEN count(s.revenue) > 0 THEN sum(s.revenue) END AS revenue,
  sum(s.orders) AS orders
FROM (
  SELECT 'this' AS week, 6 AS from_days, 0 AS to_days
  UNION ALL SELECT 'last', 13, 7
  UNION ALL SELECT 'year', 370, 364
  UNION ALL SELECT 'next_year_ago', 363, 357
) AS w
JOIN sales_daily AS s
  ON s.level = 'total' AND date_diff('day', s.date, CAST(:as_of AS DATE)) BETWEEN w.to_days AND w.from_days
GROUP BY w.week
HAVING count(*) = 7
