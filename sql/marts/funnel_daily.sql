-- Sessions and users by how far they came: on the day, and users also within the window after it.
WITH events AS (
  SELECT e.user_id, e.session_number, e.position, e.event, e.event_date, i.category
  FROM feat_user_events AS e
  LEFT JOIN feat_items AS i ON e.item_id = i.item_id
),
first_days AS (
  SELECT user_id, min(session_date) AS first_date FROM feat_sessions GROUP BY user_id
),
-- Positions tell what came after what; days alone would not.
steps AS (
  SELECT
    user_id,
    session_number,
    event_date,
    category,
    min(CASE WHEN event = 'view' THEN position END) AS first_view,
    max(CASE WHEN event = 'cart' THEN position END) AS last_cart,
    max(CASE WHEN event = 'purchase' THEN position END) AS last_purchase
  FROM events
  GROUP BY user_id, session_number, event_date, category
),
session_steps AS (
  SELECT
    user_id, session_number, 'total' AS level, 'total' AS series_id,
    min(first_view) AS first_view, max(last_cart) AS last_cart, max(last_purchase) AS last_purchase
  FROM steps
  GROUP BY user_id, session_number
  UNION ALL
  SELECT user_id, session_number, 'category', category, min(first_view), max(last_cart), max(last_purchase)
  FROM steps
  WHERE category IS NOT NULL
  GROUP BY user_id, session_number, category
),
day_steps AS (
  SELECT
    user_id, event_date AS date, 'total' AS level, 'total' AS series_id, min(session_number) AS first_session,
    min(first_view) AS first_view, max(last_cart) AS last_cart, max(last_purchase) AS last_purchase
  FROM steps
  GROUP BY user_id, event_date
  UNION ALL
  SELECT
    user_id, event_date, 'category', category, min(session_number),
    min(first_view), max(last_cart), max(last_purchase)
  FROM steps
  WHERE category IS NOT NULL
  GROUP BY user_id, event_date, category
),
day_windows AS (
  SELECT
    user_id, date, level, series_id, first_session, first_view, last_cart, last_purchase,
    min(CASE WHEN last_cart IS NOT NULL THEN date END) OVER (
      PARTITION BY user_id, level, series_id ORDER BY date ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_cart,
    min(CASE WHEN last_purchase IS NOT NULL THEN date END) OVER (
      PARTITION BY user_id, level, series_id ORDER BY date ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_purchase
  FROM day_steps
),
counts AS (
  SELECT
    s.session_date AS date,
    p.level,
    p.series_id,
    coalesce(s.channel, 'unknown') AS channel,
    CASE WHEN s.session_date = f.first_date THEN 'new' ELSE 'returning' END AS user_type,
    count(*) AS sessions,
    count(p.first_view) AS sessions_with_view,
    count(p.last_cart) AS sessions_with_cart,
    count(p.last_purchase) AS sessions_with_purchase,
    sum(CASE WHEN p.last_cart > p.first_view THEN 1 ELSE 0 END) AS sessions_view_then_cart,
    sum(CASE WHEN p.last_purchase > p.first_view THEN 1 ELSE 0 END) AS sessions_view_then_purchase,
    0 AS users,
    0 AS users_with_view,
    0 AS users_with_cart,
    0 AS users_with_purchase,
    0 AS users_view_then_cart,
    0 AS users_view_then_purchase
  FROM session_steps AS p
  JOIN feat_sessions AS s ON p.user_id = s.user_id AND p.session_number = s.session_number
  JOIN first_days AS f ON p.user_id = f.user_id
  GROUP BY
    s.session_date, p.level, p.series_id, coalesce(s.channel, 'unknown'),
    CASE WHEN s.session_date = f.first_date THEN 'new' ELSE 'returning' END
  UNION ALL
  SELECT
    d.date,
    d.level,
    d.series_id,
    coalesce(s.channel, 'unknown'),
    CASE WHEN d.date = f.first_date THEN 'new' ELSE 'returning' END,
    0, 0, 0, 0, 0, 0,
    count(*),
    count(d.first_view),
    count(d.last_cart),
    count(d.last_purchase),
    sum(
      CASE
        WHEN d.last_cart > d.first_view THEN 1
        WHEN d.first_view IS NOT NULL AND d.next_cart <= d.date + INTERVAL '1' DAY * :conversion_window_days THEN 1
        ELSE 0
      END
    ),
    sum(
      CASE
        WHEN d.last_purchase > d.first_view THEN 1
        WHEN d.first_view IS NOT NULL AND d.next_purchase <= d.date + INTERVAL '1' DAY * :conversion_window_days THEN 1
        ELSE 0
      END
    )
  FROM day_windows AS d
  JOIN feat_sessions AS s ON d.user_id = s.user_id AND d.first_session = s.session_number
  JOIN first_days AS f ON d.user_id = f.user_id
  GROUP BY
    d.date, d.level, d.series_id, coalesce(s.channel, 'unknown'),
    CASE WHEN d.date = f.first_date THEN 'new' ELSE 'returning' END
)
SELECT
  date,
  level,
  series_id,
  channel,
  user_type,
  CAST(sum(sessions) AS BIGINT) AS sessions,
  CAST(sum(sessions_with_view) AS BIGINT) AS sessions_with_view,
  CAST(sum(sessions_with_cart) AS BIGINT) AS sessions_with_cart,
  CAST(sum(sessions_with_purchase) AS BIGINT) AS sessions_with_purchase,
  CAST(sum(sessions_view_then_cart) AS BIGINT) AS sessions_view_then_cart,
  CAST(sum(sessions_view_then_purchase) AS BIGINT) AS sessions_view_then_purchase,
  CAST(sum(users) AS BIGINT) AS users,
  CAST(sum(users_with_view) AS BIGINT) AS users_with_view,
  CAST(sum(users_with_cart) AS BIGINT) AS users_with_cart,
  CAST(sum(users_with_purchase) AS BIGINT) AS users_with_purchase,
  CAST(sum(users_view_then_cart) AS BIGINT) AS users_view_then_cart,
  CAST(sum(users_view_then_purchase) AS BIGINT) AS users_view_then_purchase,
  CAST(:conversion_window_days AS INTEGER) AS window_days,
  date + INTERVAL '1' DAY * :conversion_window_days <= :as_of AS window_over
FROM counts
GROUP BY date, level, series_id, channel, user_type
