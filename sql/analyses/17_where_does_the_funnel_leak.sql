-- Question: Where does the funnel leak: how many sessions look, fill a cart and buy, and is it better than before?
-- Reading: The last four weeks beside the four before, by channel and type of user. Shares are of sessions with a view;
--   change is in percentage points of buy_share, noise one standard error of it: a change below twice the noise says
--   nothing. Both are empty below a hundred sessions. A feed without cart events shows a cart_share of 0.
WITH night AS (
  SELECT max(date) AS as_of FROM funnel_daily
),
periods AS (
  SELECT
    f.channel,
    f.user_type,
    f.date > n.as_of - INTERVAL 28 DAY AS is_now,
    sum(f.sessions) AS sessions,
    sum(f.sessions_with_view) AS viewed,
    sum(f.sessions_view_then_cart) AS carted,
    sum(f.sessions_view_then_purchase) AS bought
  FROM funnel_daily AS f
  JOIN night AS n ON f.date > n.as_of - INTERVAL 56 DAY
  WHERE f.level = 'total'
  GROUP BY f.channel, f.user_type, is_now
)
SELECT
  a.channel,
  a.user_type,
  a.sessions,
  a.viewed AS sessions_with_view,
  round(a.carted / nullif(a.viewed, 0), 4) AS cart_share,
  round(a.bought / nullif(a.viewed, 0), 4) AS buy_share,
  CASE
    WHEN a.viewed >= 100 AND b.viewed >= 100 THEN round(100 * (a.bought / a.viewed - b.bought / b.viewed), 2)
  END AS change,
  CASE
    WHEN a.viewed >= 100 AND b.viewed >= 100 THEN round(
      100 * sqrt(
        a.bought / a.viewed * (1 - a.bought / a.viewed) / a.viewed + b.bought / b.viewed * (1 - b.bought / b.viewed) / b.viewed
      ),
      2
    )
  END AS noise
FROM periods AS a
LEFT JOIN periods AS b ON a.channel = b.channel AND a.user_type = b.user_type AND NOT b.is_now
WHERE a.is_now
ORDER BY a.sessions DESC, a.channel, a.user_type
LIMIT 20
