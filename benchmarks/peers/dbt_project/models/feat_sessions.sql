-- One row a session of feat_user_events. Positions follow time, so the first event is also the earliest.
WITH sessions AS (
  SELECT
    user_id,
    session_number,
    min(event_ts) AS started_at,
    max(event_ts) AS ended_at,
    min(event_date) AS session_date,
    count(*) AS events,
    count(DISTINCT item_id) AS items,
    sum(CASE WHEN event = 'view' THEN 1 ELSE 0 END) AS views,
    sum(CASE WHEN event = 'cart' THEN 1 ELSE 0 END) AS carts,
    sum(CASE WHEN event = 'purchase' THEN 1 ELSE 0 END) AS purchases,
    round(sum(CASE WHEN event = 'purchase' THEN coalesce(quantity, 1) * price END), 4) AS value,
    min_by(item_id, position) AS entry_item_id,
    max_by(item_id, position) AS exit_item_id,
    -- Engines differ in whether they pass over a null here; an empty text is none of both.
    nullif(min_by(coalesce(channel, ''), position), '') AS channel
  FROM {{ ref('feat_user_events') }}
  GROUP BY user_id, session_number
)
SELECT
  user_id,
  session_number,
  started_at,
  ended_at,
  session_date,
  CAST(extract(DAY FROM ended_at - started_at) AS DOUBLE) * 1440
    + CAST(extract(HOUR FROM ended_at - started_at) AS DOUBLE) * 60
    + CAST(extract(MINUTE FROM ended_at - started_at) AS DOUBLE)
    + floor(CAST(extract(SECOND FROM ended_at - started_at) AS DOUBLE)) / 60 AS minutes,
  events,
  items,
  CAST(views AS BIGINT) AS views,
  CAST(carts AS BIGINT) AS carts,
  CAST(purchases AS BIGINT) AS purchases,
  purchases > 0 AS converted,
  value,
  entry_item_id,
  exit_item_id,
  channel
FROM sessions
