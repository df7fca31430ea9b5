-- Question: What took the night so long, and is it getting slower?
-- Reading: Steps of the latest night's last run by time, beside the mean of the same step over the earlier nights.
WITH last_run AS (
  SELECT run_id FROM runs WHERE as_of IS NOT NULL ORDER BY as_of DESC, started_at DESC LIMIT 1
)
SELECT
  r.step,
  r.status,
  round(r.seconds, 1) AS seconds,
  round(
    (
      SELECT avg(o.seconds)
      FROM runs AS o
      WHERE o.step = r.step AND o.status = 'succeeded' AND o.run_id <> r.run_id
    ),
    1
  ) AS mean_of_other_runs,
  r.rows,
  round(r.peak_memory_mb, 0) AS peak_memory_mb
FROM runs AS r
JOIN last_run AS l ON r.run_id = l.run_id
ORDER BY r.seconds DESC, r.step
LIMIT 20
