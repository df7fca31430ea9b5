-- The path of each session that began on :since or later: to its first purchase, or to its end where nothing was bought.
-- Returns are no steps of a visit.
WITH sessions AS (
  SELECT s.user_id, s.session_number, s.session_date, p.first_purchase
  FROM feat_sessions AS s
  LEFT JOIN (
    SELECT user_id, session_number, min(position) AS first_purchase
    FROM feat_user_events
    WHERE event = 'purchase' AND event_date >= :since
    GROUP BY user_id, session_number
  ) AS p ON s.user_id = p.user_id AND s.session_number = p.session_number
  WHERE s.session_date >= :since
),
told AS (
  SELECT s.user_id, s.session_number, e.position, e.event, i.category
  FROM feat_user_events AS e
  JOIN sessions AS s ON e.user_id = s.user_id AND e.session_number = s.session_number
  LEFT JOIN feat_items AS i ON e.item_id = i.item_id
  WHERE e.event <> 'return' AND e.event_date >= :since AND (s.first_purchase IS NULL OR e.position <= s.first_purchase)
),
-- Sorted by user: a partition for each visit takes longer.
states AS (
  SELECT
    'event' AS kind, user_id, session_number, position, event AS state,
    lag(event) OVER (PARTITION BY user_id ORDER BY position) AS state_before,
    lag(session_number) OVER (PARTITION BY user_id ORDER BY position) AS session_before
  FROM told
  UNION ALL
  SELECT
    'category', user_id, session_number, position, category,
    lag(category) OVER (PARTITION BY user_id ORDER BY position),
    lag(session_number) OVER (PARTITION BY user_id ORDER BY position)
  FROM told
  WHERE category IS NOT NULL
),
-- A run of one state is one step; steps are numbered from the end, which every path shares.
steps AS (
  SELECT kind, user_id, session_number, state, row_number() OVER (PARTITION BY kind, user_id, session_number ORDER BY position DESC) AS back
  FROM states
  WHERE session_before IS NULL OR session_before <> session_number OR state_before <> state
),
paths AS (
  SELECT
    kind,
    user_id, session_number,
    max(back) AS steps,
    concat_ws(
      ' > ',
      CASE WHEN max(back) > 6 THEN '…' END,
      max(CASE WHEN back = 6 THEN state END),
      max(CASE WHEN back = 5 THEN state END),
      max(CASE WHEN back = 4 THEN state END),
      max(CASE WHEN back = 3 THEN state END),
      max(CASE WHEN back = 2 THEN state END),
      max(CASE WHEN back = 1 THEN state END)
    ) AS path
  FROM steps
  GROUP BY kind, user_id, session_number
)
SELECT
  p.user_id,
  p.session_number,
  p.kind,
  s.session_date AS date,
  CASE WHEN s.first_purchase IS NULL THEN 'leave' ELSE 'purchase' END AS outcome,
  p.path,
  CAST(CASE WHEN p.steps > 6 THEN 6 ELSE p.steps END AS INTEGER) AS steps
FROM paths AS p
JOIN sessions AS s ON p.user_id = s.user_id AND p.session_number = s.session_number
