-- Question: What should each customer segment be offered?
-- Reading: For each RFM segment the three products that its users are recommended most often (first five places). users
--   counts how many of the segment have the product among them.
WITH offered AS (
  SELECT u.segment, r.item_id, count(*) AS users, avg(r.rank) AS mean_rank
  FROM recommendations AS r
  JOIN user_rfm AS u ON r.user_id = u.user_id
  WHERE r.as_of = (SELECT max(as_of) FROM recommendations) AND r.rank <= 5
  GROUP BY u.segment, r.item_id
),
placed AS (
  SELECT
    segment, item_id, users, mean_rank,
    row_number() OVER (PARTITION BY segment ORDER BY users DESC, mean_rank, item_id) AS place
  FROM offered
)
SELECT p.segment, p.place, p.item_id, i.name, p.users, round(p.mean_rank, 2) AS mean_rank
FROM placed AS p
LEFT JOIN items AS i ON p.item_id = i.item_id
WHERE p.place <= 3
ORDER BY p.segment, p.place
