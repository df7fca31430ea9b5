-- What follows directly on what within sessions, by the day on which they began, from :since on; returns are no steps of
-- a visit. Sorted by user: a partition for each visit takes longer.
WITH steps AS (
  SELECT
    s.session_date AS date,
    e.event,
    i.category,
    e.session_number,
    lag(e.session_number) OVER (PARTITION BY e.user_id ORDER BY e.position) AS session_before,
    lag(e.event) OVER (PARTITION BY e.user_id ORDER BY e.position) AS event_before,
    lag(i.category) OVER (PARTITION BY e.user_id ORDER BY e.position) AS category_before,
    lead(e.session_number) OVER (PARTITION BY e.user_id ORDER BY e.position) AS session_after
  FROM feat_user_events AS e
  JOIN feat_sessions AS s ON e.user_id = s.user_id AND e.session_number = s.session_number
  LEFT JOIN feat_items AS i ON e.item_id = i.item_id
  WHERE s.session_date >= :since AND e.event_date >= :since AND e.event <> 'return'
),
-- One pass over the events; what is left of them is a few rows a pair of states.
grouped AS (
  SELECT
    date,
    event,
    category,
    event_before,
    category_before,
    CASE WHEN session_number = session_before THEN 0 ELSE 1 END AS is_first,
    CASE WHEN session_number = session_after THEN 0 ELSE 1 END AS is_last,
    count(*) AS transitions
  FROM steps
  GROUP BY
    date, event, category, event_before, category_before,
    CASE WHEN session_number = session_before THEN 0 ELSE 1 END,
    CASE WHEN session_number = session_after THEN 0 ELSE 1 END
),
pairs AS (
  SELECT
    date, 'event' AS kind, CASE WHEN is_first = 1 THEN '(start)' ELSE event_before END AS from_state, event AS to_state,
    transitions
  FROM grouped
  UNION ALL
  SELECT date, 'event', event, '(end)', transitions FROM grouped WHERE is_last = 1
  UNION ALL
  SELECT date, 'category', CASE WHEN is_first = 1 THEN '(start)' ELSE category_before END, category, transitions
  FROM grouped
  WHERE category IS NOT NULL AND (is_first = 1 OR category_before IS NOT NULL)
  UNION ALL
  SELECT date, 'category', category, '(end)', transitions FROM grouped WHERE is_last = 1 AND category IS NOT NULL
)
SELECT date, kind, from_state, to_state, CAST(sum(transitions) AS BIGINT) AS transitions
FROM pairs
GROUP BY date, kind, from_state, to_state
