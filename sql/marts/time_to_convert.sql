-- From the first view to the first purchase after it, in buckets. Positions, days and session numbers of one user grow
-- together, so that the least of each belong to the same event.
WITH purchases AS (
  SELECT user_id, item_id, position, event_date, session_number FROM feat_user_events WHERE event = 'purchase'
),
-- Few pairs of a user and a product end in a purchase: only their views matter for products.
bought AS (
  SELECT user_id, item_id FROM purchases GROUP BY user_id, item_id
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
first_views AS (
  SELECT user_id, min(position) AS position, min(event_date) AS viewed_on, min(session_number) AS session_number
  FROM feat_user_events
  WHERE event = 'view'
  GROUP BY user_id
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
  UNION ALL
  SELECT 'product', 'total', 'total', viewed_on, bought_on, view_session, purchase_session
  FROM product_conversions
  UNION ALL
  SELECT 'product', 'category', i.category, c.viewed_on, c.bought_on, c.view_session, c.purchase_session
  FROM product_conversions AS c
  JOIN feat_items AS i ON c.item_id = i.item_id
  WHERE i.category IS NOT NULL
),
timed AS (
  SELECT
    measure, level, series_id,
    CASE WHEN view_session = purchase_session THEN 1 ELSE 0 END AS same_session,
    CAST(extract(DAY FROM CAST(bought_on AS TIMESTAMP) - CAST(viewed_on AS TIMESTAMP)) AS INTEGER) AS days
  FROM conversions
  WHERE bought_on >= :trajectory_since
),
buckets AS (
  SELECT bucket, label, from_days, to_days
  FROM (
    VALUES
      (1, 'same session', 0, CAST(NULL AS INTEGER)),
      (2, 'same day, later session', 0, 0),
      (3, 'next day', 1, 1),
      (4, '2 to 3 days', 2, 3),
      (5, '4 to 7 days', 4, 7),
      (6, '8 to 14 days', 8, 14),
      (7, '15 to 30 days', 15, 30),
      (8, '31 to 90 days', 31, 90),
      (9, 'over 90 days', 91, NULL)
  ) AS listed (bucket, label, from_days, to_days)
),
counted AS (
  SELECT t.measure, t.level, t.series_id, b.bucket, count(*) AS conversions
  FROM timed AS t
  JOIN buckets AS b
    ON (t.same_session = 1 AND b.bucket = 1)
    OR (t.same_session = 0 AND b.bucket > 1 AND t.days >= b.from_days AND t.days <= coalesce(b.to_days, t.days))
  GROUP BY t.measure, t.level, t.series_id, b.bucket
),
groups AS (
  SELECT measure, level, series_id, sum(conversions) AS conversions
  FROM counted
  GROUP BY measure, level, series_id
),
filled AS (
  SELECT
    g.measure, g.level, g.series_id, b.bucket, b.label, b.from_days, b.to_days,
    coalesce(c.conversions, 0) AS conversions,
    g.conversions AS all_conversions,
    sum(coalesce(c.conversions, 0)) OVER (
      PARTITION BY g.measure, g.level, g.series_id ORDER BY b.bucket
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS conversions_so_far
  FROM groups AS g
  CROSS JOIN buckets AS b
  LEFT JOIN counted AS c
    ON g.measure = c.measure AND g.level = c.level AND g.series_id = c.series_id AND b.bucket = c.bucket
)
SELECT
  :as_of AS as_of,
  measure,
  level,
  series_id,
  CAST(bucket AS INTEGER) AS bucket,
  label,
  CAST(from_days AS INTEGER) AS from_days,
  CAST(to_days AS INTEGER) AS to_days,
  CAST(conversions AS BIGINT) AS conversions,
  round(CAST(conversions AS DOUBLE) / all_conversions, 6) AS share,
  round(CAST(conversions_so_far AS DOUBLE) / all_conversions, 6) AS cumulative_share,
  CAST(:trajectory_days AS INTEGER) AS period_days
FROM filled
