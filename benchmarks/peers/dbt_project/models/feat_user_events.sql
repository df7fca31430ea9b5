-- The history of each known user, in order, cut into sessions.
WITH events AS (
  SELECT
    e.user_id, e.session_id, e.item_id, e.event, e.quantity, e.price, e.channel, e.event_ts, e.event_date,
    e.feed, e.filename, e.line
  FROM {{ ref('core_events') }} AS e
  WHERE e.user_id IS NOT NULL
    AND e.item_id IS NOT NULL
    AND e.event <> 'search'
),
ordered AS (
  SELECT
    user_id, session_id, item_id, event, quantity, price, channel, event_ts, event_date,
    row_number() OVER (PARTITION BY user_id ORDER BY event_ts, feed, filename, line) AS position,
    lag(event_ts) OVER (PARTITION BY user_id ORDER BY event_ts, feed, filename, line) AS previous_ts,
    lag(session_id) OVER (PARTITION BY user_id ORDER BY event_ts, feed, filename, line) AS previous_session
  FROM events
),
cut AS (
  SELECT
    user_id, item_id, event, quantity, price, channel, event_ts, event_date, position,
    CASE
      WHEN previous_ts IS NULL THEN 1
      -- Where the feed knows the session, its word counts; elsewhere the gap does.
      WHEN session_id IS NOT NULL AND previous_session IS NOT NULL
        THEN CASE WHEN session_id = previous_session THEN 0 ELSE 1 END
      WHEN event_ts > previous_ts + INTERVAL '30' MINUTE THEN 1
      ELSE 0
    END AS starts_session
  FROM ordered
)
SELECT
  user_id,
  CAST(position AS INTEGER) AS position,
  item_id,
  event,
  event_ts,
  event_date,
  CAST(sum(starts_session) OVER (
    PARTITION BY user_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS INTEGER) AS session_number,
  quantity,
  price,
  channel
FROM cut
