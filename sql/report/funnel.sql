-- The funnel of visits in the last four weeks, as a whole and split in three ways.
WITH days AS (
  SELECT * FROM funnel_daily WHERE date_diff('day', date, CAST(:as_of AS DATE)) BETWEEN 0 AND 27
),
splits AS (
  SELECT 'all' AS split, 'all visits' AS part, * FROM days WHERE level = 'total'
  UNION ALL SELECT 'user type', user_type, * FROM days WHERE level = 'total'
  UNION ALL SELECT 'channel', channel, * FROM days WHERE level = 'total'
  UNION ALL SELECT 'category', series_id, * FROM days WHERE level = 'category'
)
SELECT
  split, part, sum(sessions) AS visits, sum(sessions_with_view) AS with_view, sum(sessions_view_then_cart) AS then_cart,
  sum(sessions_view_then_purchase) AS then_purchase
FROM splits
GROUP BY split, part
QUALIFY row_number() OVER (PARTITION BY split ORDER BY sum(sessions) DESC, part) <= 12
ORDER BY split, visits DESC, part
