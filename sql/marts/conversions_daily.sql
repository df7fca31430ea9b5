-- First purchases after the first view, by the day on which they were made, from :since on. Positions, days and session
-- numbers of one user grow together, so that the least of each belong to the same event.
WITH purchases AS (
  SELECT user_id, item_id, position, event_date, session_number FROM feat_user_events WHERE event = 'purchase'
),
-- Few pairs of a user and a product end in a purchase: only their views matter for products.
bought AS (
  SELECT user_id, item_id FROM purchases WHERE event_date >= :since GROUP BY user_id, item_id
),
views AS (
  SELECT
    e.user_id, e.item_id, min(e.position) AS position, min(e.event_date) AS viewed_on,
    min(e.session_number) AS session_number
  FROM feat_user_events AS e
  JOIN bought AS b ON e.user_id = b.user_id AND e.item_id = b.item_id
  WHERE e.event = 'view'
  GROUP BY e.user_id, e.item_id
),
product_conversions AS (
  SELECT
    v.item_id, v.viewed_on, v.session_number AS view_session,
    min(p.event_date) AS bought_on, min(p.session_number) AS purchase_session
  FROM views AS v
  JOIN purchases AS p ON v.user_id = p.user_id AND v.item_id = p.item_id
  WHERE p.position > v.position
  GROUP BY v.user_id, v.item_id, v.viewed_on, v.session_number
),
buyers AS (
  SELECT user_id FROM bought GROUP BY user_id
),
first_views AS (
  SELECT
    e.user_id, min(e.position) AS position, min(e.event_date) AS viewed_on, min(e.session_number) AS session_number
  FROM feat_user_events AS e
  JOIN buyers AS b ON e.user_id = b.user_id
  WHERE e.event = 'view'
  GROUP BY e.user_id
),
user_conversions AS (
  SELECT
    v.viewed_on, v.session_number AS view_session,
    min(p.event_date) AS bought_on, min(p.session_number) AS purchase_session
  FROM first_views AS v
  JOIN purchases AS p ON v.user_id = p.user_id
  WHERE p.position > v.position
  GROUP BY v.user_id, v.viewed_on, v.session_number
),
conversions AS (
  SELECT 'user' AS measure, 'total' AS level, 'total' AS series_id, viewed_on, bought_on, view_session, purchase_session
  FROM user_conversions
  WHERE bought_on >= :since
  UNION ALL
  SELECT 'product', 'total', 'total', viewed_on, bought_on, view_session, purchase_session
  FROM product_conversions
  WHERE bought_on >= :since
  UNION ALL
  SELECT 'product', 'category', i.category, c.viewed_on, c.bought_on, c.view_session, c.purchase_session
  FROM product_conversions AS c
  JOIN feat_items AS i ON c.item_id = i.item_id
  WHERE c.bought_on >= :since AND i.category IS NOT NULL
),
timed AS (
  SELECT
    bought_on AS date, measure, level, series_id, view_session = purchase_session AS same_session,
    CAST(extract(DAY FROM CAST(bought_on AS TIMESTAMP) - CAST(viewed_on AS TIMESTAMP)) AS INTEGER) AS days
  FROM conversions
)
SELECT date, measure, level, series_id, same_session, days, count(*) AS conversions
FROM timed
GROUP BY date, measure, level, series_id, same_session, days
