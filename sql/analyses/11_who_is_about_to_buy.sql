-- Question: Who is about to buy, and what?
-- Reading: The twenty users with the highest probability of buying one of their recommended products within the days of
--   window_days after the latest night. Probabilities are calibrated: of those with 0.20, one in five should buy.
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
  b.item_id,
  i.name,
  i.price,
  u.segment,
  u.last_purchase
FROM best AS b
LEFT JOIN items AS i ON b.item_id = i.item_id
LEFT JOIN user_rfm AS u ON b.user_id = u.user_id
WHERE b.place = 1
ORDER BY b.probability DESC, b.user_id
LIMIT 20
