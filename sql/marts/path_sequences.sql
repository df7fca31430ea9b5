-- Paths of the sessions of the period: to the first purchase, or to the end where nothing was bought.
-- Returns are no steps of a visit.
WITH sessions AS (
  SELECT s.user_id, s.session_number, p.first_purchase
  FROM feat_sessions AS s
  LEFT JOIN (
    SELECT user_id, session_number, min(position) AS first_purchase
    FROM feat_user_events
    WHERE event = 'purchase'
    GROUP BY user_id, session_number
  ) AS p ON s.user_id = p.user_id AND s.session_number = p.session_number
  WHERE s.session_date >= :trajectory_since
),
told AS (
  SELECT s.user_id, s.session_number, e.position, e.event, i.category
  FROM feat_user_events AS e
  JOIN sessions AS s ON e.user_id = s.user_id AND e.session_number = s.session_number
  LEFT JOIN feat_items AS i ON e.item_id = i.item_id
  WHERE e.event <> 'return' AND (s.first_purchase IS NULL OR e.position <= s.first_purchase)
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
),
counted AS (
  SELECT
    p.kind,
    CASE WHEN s.first_purchase IS NULL THEN 'leave' ELSE 'purchase' END AS outcome,
    p.path,
    CASE WHEN max(p.steps) > 6 THEN 6 ELSE max(p.steps) END AS steps,
    count(*) AS sessions,
    count(DISTINCT s.user_id) AS users
  FROM paths AS p
  JOIN sessions AS s ON p.user_id = s.user_id AND p.session_number = s.session_number
  GROUP BY p.kind, CASE WHEN s.first_purchase IS NULL THEN 'leave' ELSE 'purchase' END, p.path
),
ranked AS (
  SELECT
    kind, outcome, path, steps, sessions, users,
    CAST(sessions AS DOUBLE) / sum(sessions) OVER (PARTITION BY kind, outcome) AS share,
    row_number() OVER (PARTITION BY kind, outcome ORDER BY sessions DESC, path) AS place
  FROM counted
)
SELECT
  :as_of AS as_of,
  kind,
  outcome,
  CAST(place AS INTEGER) AS rank,
  path,
  CAST(steps AS INTEGER) AS steps,
  sessions,
  users,
  round(share, 6) AS share,
  CAST(:trajectory_days AS INTEGER) AS period_days
FROM ranked
WHERE place <= :paths_kept
