-- One row a session of feat_user_events.
WITH sessions AS (
  SELECT
    user_id,
    session_number,
    min(position) AS first_position,
    max(position) AS last_position,
    count(*) AS events,
    count(DISTINCT item_id) AS items,
    sum(CASE WHEN event = 'view' THEN 1 ELSE 0 END) AS views,
    sum(CASE WHEN event = 'cart' THEN 1 ELSE 0 END) AS carts,
    sum(CASE WHEN event = 'purchase' THEN 1 ELSE 0 END) AS purchases,
    round(sum(CASE WHEN event = 'purchase' THEN coalesce(quantity, 1) * price END), 4) AS value
  FROM feat_user_events
  GROUP BY user_id, session_number
)
SELECT
  s.user_id,
  s.session_number,
  f.event_ts AS started_at,
  l.event_ts AS ended_at,
  f.event_date AS session_date,
  CAST(extract(DAY FROM l.event_ts - f.event_ts) AS DOUBLE) * 1440
    + CAST(extract(HOUR FROM l.event_ts - f.event_ts) AS DOUBLE) * 60
    + CAST(extract(MINUTE FROM l.event_ts - f.event_ts) AS DOUBLE)
    + floor(CAST(extract(SECOND FROM l.event_ts - f.event_ts) AS DOUBLE)) / 60 AS minutes,
  s.events,
  s.items,
  CAST(s.views AS BIGINT) AS views,
  CAST(s.carts AS BIGINT) AS carts,
  CAST(s.purchases AS BIGINT) AS purchases,
  s.purchases > 0 AS converted,
  s.value,
  f.item_id AS entry_item_id,
  l.item_id AS exit_item_id,
  f.channel
FROM sessions AS s
JOIN feat_user_events AS f ON s.user_id = f.user_id AND s.first_position = f.position
JOIN feat_user_events AS l ON s.user_id = l.user_id AND s.last_position = l.position
