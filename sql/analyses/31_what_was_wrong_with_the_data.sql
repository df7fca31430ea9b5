-- Question: What was wrong with the data?
-- Reading: Checks that failed in the latest night, the serious ones first (error: nothing is published until mended; so in a
--   published file only warnings are to be expected), and rows in quarantine by file and rule. No row: all was well.
SELECT
  'check' AS kind,
  severity,
  table_name AS place,
  rule,
  rows_unexpected AS rows,
  sentence AS explanation
FROM validation_results
WHERE as_of = (SELECT max(as_of) FROM validation_results) AND NOT success
UNION ALL
SELECT 'quarantine', 'warn', concat(feed, '/', path, ' line ', first_line), rule, rows, reason
FROM quarantine_summary
ORDER BY severity, kind, rows DESC NULLS LAST, place, rule
LIMIT 30
