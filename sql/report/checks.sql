-- The rules checked in each of the last sixty nights, and how many did not hold.
SELECT
  as_of, count(*) AS rules, count(*) FILTER (WHERE NOT success) AS failed,
  CAST(coalesce(sum(rows_unexpected) FILTER (WHERE NOT success), 0) AS BIGINT) AS rows_unexpected
FROM validation_results
WHERE as_of <= CAST(:as_of AS DATE)
GROUP BY as_of
ORDER BY as_of DESC
LIMIT 60
