-- Question: Who left something in the cart in the last week?
-- Reading: Products put into a cart in the seven days up to the latest event and neither taken out nor bought by that user
--   since, and that are not out of stock. The dearest first: the list for a reminder.
WITH night AS (
  SELECT max(event_date) AS as_of FROM user_events
),
marks AS (
  SELECT
    user_id,
    item_id,
    max(CASE WHEN event = 'cart' THEN position END) AS last_cart,
    max(CASE WHEN event = 'cart' THEN event_ts END) AS carted_at,
    max(CASE WHEN event IN ('purchase', 'remove') THEN position END) AS last_end
  FROM user_events
  GROUP BY user_id, item_id
)
SELECT m.user_id, m.item_id, i.name, i.price, m.carted_at, u.segment
FROM marks AS m
CROSS JOIN night AS n
LEFT JOIN items AS i ON m.item_id = i.item_id
LEFT JOIN user_rfm AS u ON m.user_id = u.user_id
WHERE m.last_cart > coalesce(m.last_end, 0) AND m.carted_at > n.as_of - INTERVAL 6 DAY AND coalesce(i.stock, 1) > 0
ORDER BY i.price DESC NULLS LAST, m.carted_at DESC, m.user_id, m.item_id
LIMIT 20
