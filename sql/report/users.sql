-- Users to look at: of each segment those who did most, and of shops without buyers those who did most of all. RFM
-- segments and ids of the published state are of the newest night; for an older one they are not told.
WITH active AS (
  SELECT r.user_id, max(CAST(r.fallback AS INTEGER)) AS fallback
  FROM recommendations AS r
  WHERE r.as_of = CAST(:as_of AS DATE)
  GROUP BY r.user_id
),
told AS (
  SELECT
    a.user_id, a.fallback, count(*) AS events, count(DISTINCT e.item_id) AS products, max(e.event_date) AS last_event,
    max(f.segment) AS segment, max(f.last_purchase) AS last_purchase, max(f.frequency) AS purchase_days,
    max(f.monetary) AS monetary
  FROM active AS a
  JOIN user_events AS e ON a.user_id = e.user_id AND e.event_date <= CAST(:as_of AS DATE)
  LEFT JOIN (
    SELECT rfm.* FROM user_rfm AS rfm JOIN about ON about.as_of = CAST(:as_of AS DATE)
  ) AS f ON a.user_id = f.user_id
  GROUP BY a.user_id, a.fallback
),
placed AS (
  SELECT *, row_number() OVER (PARTITION BY segment ORDER BY events DESC, user_id) AS place FROM told
)
SELECT user_id, segment, events, products, last_event, last_purchase, purchase_days, monetary, fallback
FROM placed
ORDER BY place, events DESC, user_id
LIMIT :users
