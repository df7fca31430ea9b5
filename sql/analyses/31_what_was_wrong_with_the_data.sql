-- Question: What was wrong with the data?
-- Reading: Checks that failed in the latest night, the serious ones first (error: nothing is published until mended; so in a
--   published file only warnings are to be expected), then the rows in quarantine by feed and rule, with the number of
--   files and one of the rows. No row: all was well.
SELECT
  'check' AS kind,
  severity,
  table_name AS place,
  rule,
  rows_unexpected AS rows,
  NULL AS files,
  sentence AS explanation
FROM validation_results
WHERE as_of = (SELECT max(as_of) FROM validation_results) AND NOT success
UNION ALL
SELECT
  'quarantine',
  'warn',
  feed,
  rule,
  CAST(sum(rows) AS BIGINT),
  count(*),
  concat(min(reason), '. For example ', min(concat(path, ' line ', first_line)))
FROM quarantine_summary
GROUP BY feed, rule
ORDER BY severity, kind, rows DESC NULLS LAST, place, rule
LIMIT 30
