-- Question: Which good customers are we losing, and what could bring them back?
-- Reading: Customers who used to buy often and have not come for long ("at risk", "cannot lose them"), by what they were
--   worth, with the product that is recommended to them first and why. No recommendation: the user has been away for
--   longer than the setting active_user_days.
SELECT
  u.user_id,
  u.segment,
  u.last_purchase,
  u.recency_days,
  u.frequency,
  u.monetary,
  r.item_id,
  i.name,
  r.reason
FROM user_rfm AS u
LEFT JOIN recommendations AS r
  ON u.user_id = r.user_id AND r.rank = 1 AND r.as_of = (SELECT max(as_of) FROM recommendations)
LEFT JOIN items AS i ON r.item_id = i.item_id
WHERE u.segment IN ('at risk', 'cannot lose them')
ORDER BY u.monetary DESC NULLS LAST, u.frequency DESC, u.user_id
LIMIT 20
