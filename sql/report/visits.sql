-- Visits of the same weeks as in weeks.sql, and how many of them bought something; only for shops whose feeds say who
-- looked at what. A visit of orders alone would always have bought.
SELECT
  w.week,
  count(DISTINCT f.date) AS days,
  sum(f.sessions) AS visits,
  sum(f.sessions_with_view) AS visits_with_view,
  sum(f.sessions_with_purchase) AS visits_with_purchase
FROM (
  SELECT 'this' AS week, 6 AS from_days, 0 AS to_days
  UNION ALL SELECT 'last', 13, 7
  UNION ALL SELECT 'year', 370, 364
) AS w
JOIN funnel_daily AS f
  ON f.level = 'total' AND date_diff('day', f.date, CAST(:as_of AS DATE)) BETWEEN w.to_days AND w.from_days
GROUP BY w.week
HAVING count(DISTINCT f.date) = 7
