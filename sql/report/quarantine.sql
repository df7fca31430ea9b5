-- What is in quarantine, by feed and rule, with one example.
SELECT
  feed, rule, arg_min(reason, path) AS reason, CAST(sum(rows) AS BIGINT) AS rows, count(*) AS files,
  arg_max(path, path) AS newest_file, arg_max(first_line, path) AS line, arg_max(example, path) AS example
FROM quarantine_summary
GROUP BY feed, rule
ORDER BY rows DESC, feed, rule
LIMIT 15
