-- What came in by each feed, in all and in the night's own runs.
SELECT
  f.feed, count(*) AS files, count(*) FILTER (WHERE f.status = 'refused') AS files_refused,
  CAST(coalesce(sum(f.rows_in), 0) AS BIGINT) AS rows_in, CAST(coalesce(sum(f.rows_core), 0) AS BIGINT) AS rows_core,
  CAST(coalesce(sum(f.rows_quarantined), 0) AS BIGINT) AS rows_quarantined,
  CAST(coalesce(sum(f.rows_duplicate), 0) AS BIGINT) AS rows_duplicate,
  count(*) FILTER (WHERE n.run_id IS NOT NULL) AS files_tonight,
  CAST(coalesce(sum(f.rows_in) FILTER (WHERE n.run_id IS NOT NULL), 0) AS BIGINT) AS rows_tonight
FROM ingest_files AS f
LEFT JOIN (SELECT DISTINCT run_id FROM runs WHERE as_of = CAST(:as_of AS DATE)) AS n ON f.run_id = n.run_id
GROUP BY f.feed
ORDER BY f.feed
