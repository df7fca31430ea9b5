-- Question: In which categories do people look and not buy?
-- Reading: Users who looked at a category on a day of the last four full weeks, and the share of them who filled a cart or
--   bought in it within the window. A high bounce with many users is where prices, texts or stock deserve a look.
WITH night AS (
  SELECT max(date) AS last_day FROM funnel_daily WHERE window_over
)
SELECT
  f.series_id AS category,
  sum(f.users_with_view) AS user_days_with_view,
  round(sum(f.users_view_then_cart) / nullif(sum(f.users_with_view), 0), 4) AS cart_share,
  round(sum(f.users_view_then_purchase) / nullif(sum(f.users_with_view), 0), 4) AS buy_share,
  round(1 - sum(f.users_view_then_purchase) / nullif(sum(f.users_with_view), 0), 4) AS bounce,
  max(f.window_days) AS window_days
FROM funnel_daily AS f
JOIN night AS n ON f.date > n.last_day - INTERVAL 28 DAY AND f.date <= n.last_day
WHERE f.level = 'category'
GROUP BY f.series_id
ORDER BY user_days_with_view DESC, category
LIMIT 20
