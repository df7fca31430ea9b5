-- Sessions and users by how far they came: on the day, and users also within the window after it. A session belongs to
-- the day on which it began. Positions tell what came after what; times alone would not. Returns are no visits.
-- Days before :since are left out.
WITH returns AS (
  SELECT user_id, session_number, count(*) AS returns
  FROM feat_user_events
  WHERE event = 'return'
  GROUP BY user_id, session_number
),
first_days AS (
  SELECT s.user_id, min(s.session_date) AS first_day
  FROM feat_sessions AS s
  LEFT JOIN returns AS r ON s.user_id = r.user_id AND s.session_number = r.session_number
  WHERE r.returns IS NULL OR r.returns < s.events
  GROUP BY s.user_id
),
sessions AS (
  SELECT
    s.user_id,
    s.session_number,
    s.session_date AS date,
    coalesce(s.channel, 'unknown') AS channel,
    CASE WHEN s.session_date = f.first_day THEN 'new' ELSE 'returning' END AS user_type
  FROM feat_sessions AS s
  JOIN first_days AS f ON s.user_id = f.user_id
  WHERE s.session_date >= :since
),
steps AS (
  SELECT
    e.user_id,
    e.session_number,
    i.category,
    min(CASE WHEN e.event = 'view' THEN e.position END) AS first_view,
    max(CASE WHEN e.event = 'cart' THEN e.position END) AS last_cart,
    max(CASE WHEN e.event = 'purchase' THEN e.position END) AS last_purchase
  FROM feat_user_events AS e
  LEFT JOIN feat_items AS i ON e.item_id = i.item_id
  WHERE e.event <> 'return' AND e.event_date >= :since
  GROUP BY e.user_id, e.session_number, i.category
),
visits AS (
  SELECT
    user_id, session_number,
    min(first_view) AS first_view, max(last_cart) AS last_cart, max(last_purchase) AS last_purchase
  FROM steps
  GROUP BY user_id, session_number
),
session_steps AS (
  SELECT user_id, session_number, 'total' AS level, 'total' AS series_id, first_view, last_cart, last_purchase
  FROM visits
  UNION ALL
  SELECT user_id, session_number, 'category', category, first_view, last_cart, last_purchase
  FROM steps
  WHERE category IS NOT NULL
),
dated_steps AS (
  SELECT
    p.user_id, p.session_number, p.level, p.series_id, p.first_view, p.last_cart, p.last_purchase,
    s.date, s.channel, s.user_type
  FROM session_steps AS p
  JOIN sessions AS s ON p.user_id = s.user_id AND p.session_number = s.session_number
),
day_steps AS (
  SELECT
    user_id, level, series_id, date, user_type, min(session_number) AS first_session,
    min(first_view) AS first_view, max(last_cart) AS last_cart, max(last_purchase) AS last_purchase
  FROM dated_steps
  GROUP BY user_id, level, series_id, date, user_type
),
-- Days with a view that were followed by a later day of the window with more.
later AS (
  SELECT
    v.user_id, v.level, v.series_id, v.date,
    max(CASE WHEN c.last_cart IS NOT NULL THEN 1 ELSE 0 END) AS has_cart,
    max(CASE WHEN c.last_purchase IS NOT NULL THEN 1 ELSE 0 END) AS has_purchase
  FROM day_steps AS v
  JOIN day_steps AS c ON v.user_id = c.user_id AND v.level = c.level AND v.series_id = c.series_id
  WHERE v.first_view IS NOT NULL
    AND (c.last_cart IS NOT NULL OR c.last_purchase IS NOT NULL)
    AND c.date > v.date
    AND c.date <= v.date + INTERVAL '1' DAY * :conversion_window_days
  GROUP BY v.user_id, v.level, v.series_id, v.date
),
counts AS (
  SELECT
    date,
    level,
    series_id,
    channel,
    user_type,
    count(*) AS sessions,
    count(first_view) AS sessions_with_view,
    count(last_cart) AS sessions_with_cart,
    count(last_purchase) AS sessions_with_purchase,
    sum(CASE WHEN last_cart > first_view THEN 1 ELSE 0 END) AS sessions_view_then_cart,
    sum(CASE WHEN last_purchase > first_view THEN 1 ELSE 0 END) AS sessions_view_then_purchase,
    0 AS users,
    0 AS users_with_view,
    0 AS users_with_cart,
    0 AS users_with_purchase,
    0 AS users_view_then_cart,
    0 AS users_view_then_purchase
  FROM dated_steps
  GROUP BY date, level, series_id, channel, user_type
  UNION ALL
  SELECT
    d.date,
    d.level,
    d.series_id,
    s.channel,
    d.user_type,
    0, 0, 0, 0, 0, 0,
    count(*),
    count(d.first_view),
    count(d.last_cart),
    count(d.last_purchase),
    sum(CASE WHEN d.last_cart > d.first_view OR l.has_cart = 1 THEN 1 ELSE 0 END),
    sum(CASE WHEN d.last_purchase > d.first_view OR l.has_purchase = 1 THEN 1 ELSE 0 END)
  FROM day_steps AS d
  JOIN sessions AS s ON d.user_id = s.user_id AND d.first_session = s.session_number
  LEFT JOIN later AS l
    ON d.user_id = l.user_id AND d.level = l.level AND d.series_id = l.series_id AND d.date = l.date
  GROUP BY d.date, d.level, d.series_id, s.channel, d.user_type
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
