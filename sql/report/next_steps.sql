-- What active users do next, as expected: for each next step how many users it is likeliest for, and how many are
-- expected to take it; and how many are expected to buy.
WITH steps AS (
  SELECT user_id, likeliest, p_buys, window_days, next_fallback, buys_fallback, s.step,
    CASE s.step
      WHEN 'nothing' THEN p_nothing WHEN 'view' THEN p_view WHEN 'favourite' THEN p_favourite WHEN 'cart' THEN p_cart
      ELSE p_purchase
    END AS probability
  FROM next_steps
  CROSS JOIN (
    SELECT 'nothing' AS step UNION ALL SELECT 'view' UNION ALL SELECT 'favourite' UNION ALL SELECT 'cart'
    UNION ALL SELECT 'purchase'
  ) AS s
  WHERE as_of = CAST(:as_of AS DATE)
)
SELECT
  step, count(*) AS users, count(*) FILTER (WHERE likeliest = step) AS likeliest_for, sum(probability) AS expected_users,
  sum(p_buys) AS expected_buyers, max(window_days) AS window_days, bool_or(next_fallback) AS next_fallback,
  bool_or(buys_fallback) AS buys_fallback
FROM steps
GROUP BY step
ORDER BY expected_users DESC, step
