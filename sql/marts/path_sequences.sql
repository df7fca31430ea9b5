-- The most frequent paths of the sessions of the period.
WITH walked AS (
  SELECT kind, outcome, path, user_id, max(steps) AS steps, count(*) AS sessions
  FROM session_paths
  WHERE date >= :trajectory_since
  GROUP BY kind, outcome, path, user_id
),
counted AS (
  SELECT kind, outcome, path, max(steps) AS steps, CAST(sum(sessions) AS BIGINT) AS sessions, count(*) AS users
  FROM walked
  GROUP BY kind, outcome, path
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
