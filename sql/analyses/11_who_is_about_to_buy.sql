-- Question: Who is about to buy, and what?
-- Reading: The twenty users with the highest probability of buying one certain product within window_days after the latest night.
--   Probabilities are calibrated (of those with 0.20, one in five should buy) and go in steps, so that many users share one; among
--   them those come first who are likeliest to buy anything (p_buys_anything). had_it tells a reminder from a discovery.
WITH best AS (
  SELECT
    user_id, item_id, probability, window_days,
    row_number() OVER (PARTITION BY user_id ORDER BY probability DESC, item_id) AS place
  FROM purchase_predictions
  WHERE as_of = (SELECT max(as_of) FROM purchase_predictions)
)
SELECT
  b.user_id,
  round(b.probability, 4) AS probability,
  b.window_days,
  round(n.p_buys, 3) AS p_buys_anything,
  b.item_id,
  i.name,
  i.price,
  r.is_repeat AS had_it,
  u.segment,
  u.last_purchase
FROM best AS b
LEFT JOIN items AS i ON b.item_id = i.item_id
LEFT JOIN user_rfm AS u ON b.user_id = u.user_id
LEFT JOIN next_steps AS n ON b.user_id = n.user_id AND n.as_of = (SELECT max(as_of) FROM purchase_predictions)
LEFT JOIN recommendations AS r
  ON b.user_id = r.user_id AND b.item_id = r.item_id AND r.as_of = (SELECT max(as_of) FROM purchase_predictions)
WHERE b.place = 1
ORDER BY b.probability DESC, n.p_buys DESC NULLS LAST, b.user_id
LIMIT 20
