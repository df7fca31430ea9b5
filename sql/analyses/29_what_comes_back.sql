-- Question: Which products come back?
-- Reading: Products with at least ten purchases by known users, by the share of units that were returned or cancelled.
SELECT
  e.item_id,
  i.name,
  count(*) FILTER (WHERE e.event = 'purchase') AS purchases,
  sum(CASE WHEN e.event = 'purchase' THEN coalesce(e.quantity, 1) END) AS units_bought,
  sum(CASE WHEN e.event = 'return' THEN coalesce(e.quantity, 1) END) AS units_returned,
  round(
    sum(CASE WHEN e.event = 'return' THEN coalesce(e.quantity, 1) END)
      / nullif(sum(CASE WHEN e.event = 'purchase' THEN coalesce(e.quantity, 1) END), 0),
    3
  ) AS return_share
FROM user_events AS e
LEFT JOIN items AS i ON e.item_id = i.item_id
WHERE e.event IN ('purchase', 'return')
GROUP BY e.item_id, i.name
HAVING count(*) FILTER (WHERE e.event = 'purchase') >= 10 AND count(*) FILTER (WHERE e.event = 'return') > 0
ORDER BY return_share DESC, e.item_id
LIMIT 20
