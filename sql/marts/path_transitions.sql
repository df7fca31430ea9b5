-- What follows directly on what within the sessions of the period.
WITH counted AS (
  SELECT kind, from_state, to_state, sum(transitions) AS transitions
  FROM transitions_daily
  WHERE date >= :trajectory_since
  GROUP BY kind, from_state, to_state
),
totals AS (
  SELECT
    kind,
    from_state,
    to_state,
    transitions,
    CAST(transitions AS DOUBLE) / sum(transitions) OVER (PARTITION BY kind, from_state) AS probability,
    CAST(sum(transitions) OVER (PARTITION BY kind, to_state) AS DOUBLE)
      / sum(transitions) OVER (PARTITION BY kind) AS share_of_to_state,
    row_number() OVER (PARTITION BY kind ORDER BY transitions DESC, from_state, to_state) AS place
  FROM counted
)
SELECT
  :as_of AS as_of,
  kind,
  from_state,
  to_state,
  CAST(transitions AS BIGINT) AS transitions,
  round(probability, 6) AS probability,
  round(probability / share_of_to_state, 4) AS lift,
  CAST(:trajectory_days AS INTEGER) AS period_days
FROM totals
WHERE place <= :paths_kept
