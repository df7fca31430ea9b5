-- Question: What should go into the newsletter?
-- Reading: The products that are among the first five recommendations of most users who do not have them yet.
--   expected_buyers adds up the users' probabilities of buying within a few days, where they were predicted. Products
--   known to be out of stock are left out.
SELECT
  r.item_id,
  i.name,
  i.category,
  i.price,
  count(*) AS users,
  round(avg(r.rank), 2) AS mean_rank,
  round(sum(p.probability), 2) AS expected_buyers
FROM recommendations AS r
LEFT JOIN items AS i ON r.item_id = i.item_id
LEFT JOIN purchase_predictions AS p ON r.as_of = p.as_of AND r.user_id = p.user_id AND r.item_id = p.item_id
WHERE r.as_of = (SELECT max(as_of) FROM recommendations)
  AND r.rank <= 5
  AND NOT r.is_repeat
  AND coalesce(i.stock, 1) > 0
GROUP BY r.item_id, i.name, i.category, i.price
ORDER BY users DESC, mean_rank, r.item_id
LIMIT 10
