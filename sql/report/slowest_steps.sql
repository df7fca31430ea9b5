-- How long the steps of the newest run of the night took, the slowest first.
WITH newest AS (
  SELECT run_id FROM runs WHERE as_of = CAST(:as_of AS DATE) ORDER BY started_at DESC, run_id LIMIT 1
)
SELECT r.step, r.seconds, r.rows, r.peak_memory_mb, sum(r.seconds) OVER () AS seconds_in_all, count(*) OVER () AS steps
FROM runs AS r
JOIN newest AS n ON r.run_id = n.run_id
ORDER BY r.seconds DESC, r.step
LIMIT 8
