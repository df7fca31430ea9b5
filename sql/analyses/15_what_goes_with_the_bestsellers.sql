-- Question: What should be shown beside our bestsellers?
-- Reading: The ten products with the most units in the last 28 days, each with the three products that people treat most
--   alike (look at or buy by the same users, close in time).
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
bestsellers AS (
  SELECT s.series_id AS item_id, sum(s.quantity) AS units
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - INTERVAL 28 DAY AND s.date <= n.as_of
  WHERE s.level = 'product'
  GROUP BY s.series_id
  ORDER BY units DESC, item_id
  LIMIT 10
)
SELECT
  b.item_id,
  i.name,
  round(b.units, 0) AS units,
  s.rank,
  s.similar_item_id,
  o.name AS similar_name,
  round(s.score, 3) AS score
FROM bestsellers AS b
JOIN similar_items AS s ON b.item_id = s.item_id AND s.as_of = (SELECT max(as_of) FROM similar_items)
LEFT JOIN items AS i ON b.item_id = i.item_id
LEFT JOIN items AS o ON s.similar_item_id = o.item_id
WHERE s.rank <= 3
ORDER BY b.units DESC, b.item_id, s.rank
