-- Quarantined rows of each file by rule: how many, and the first of them as it came.
WITH quarantined AS (
  SELECT 'orders' AS feed, file_id, line, rule, reason, raw FROM quarantine_orders
  UNION ALL
  SELECT 'browse', file_id, line, rule, reason, raw FROM quarantine_browse
  UNION ALL
  SELECT 'products', file_id, line, rule, reason, raw FROM quarantine_products
  UNION ALL
  SELECT 'promotions', file_id, line, rule, reason, raw FROM quarantine_promotions
),
counted AS (
  SELECT feed, file_id, rule, count(*) AS quarantined_rows, min(line) AS first_line
  FROM quarantined
  GROUP BY feed, file_id, rule
)
SELECT
  c.feed,
  f.path,
  c.rule,
  q.reason,
  c.quarantined_rows AS rows,
  c.first_line,
  q.raw AS example
FROM counted AS c
JOIN quarantined AS q
  ON c.feed = q.feed AND c.file_id = q.file_id AND c.rule = q.rule AND c.first_line = q.line
JOIN ingest_files AS f ON c.file_id = f.file_id
