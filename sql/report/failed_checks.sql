-- Rules that did not hold in the night.
SELECT table_name, rule, severity, observed, rows_unexpected, sentence
FROM validation_results
WHERE as_of = CAST(:as_of AS DATE) AND NOT success
ORDER BY severity, table_name, rule
LIMIT 50
