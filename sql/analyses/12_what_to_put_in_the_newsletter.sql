-- Question: What should go into the newsletter?
-- Reading: The products with most expected buyers: the sum, over all users to whom they are recommended, of the probability of
--   buying within a few days, split into users who had the product before (a reminder) and users to whom it is new (a discovery).
--   Products known to be out of stock are left out. A newsletter for each user rather than one for all: recommendations itself.
SELECT
  r.item_id,
  i.name,
  i.category,
  i.price,
  count(*) AS users,
  count(*) FILTER (WHERE NOT r.is_repeat) AS users_it_is_new_to,
  round(sum(p.probability), 2) AS expected_buyers,
  round(coalesce(sum(p.probability) FILTER (WHERE NOT r.is_repeat), 0), 2) AS new_buyers,
  round(100 * sum(p.probability) / count(*), 1) AS buyers_in_100
FROM recommendations AS r
JOIN purchase_predictions AS p ON r.as_of = p.as_of AND r.user_id = p.user_id AND r.item_id = p.item_id
LEFT JOIN items AS i ON r.item_id = i.item_id
WHERE r.as_of = (SELECT max(as_of) FROM recommendations)
  AND coalesce(i.stock, 1) > 0
GROUP BY r.item_id, i.name, i.category, i.price
ORDER BY expected_buyers DESC, r.item_id
LIMIT 10
