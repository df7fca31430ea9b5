-- Question: Which products come back?
-- Reading: Products with at least ten purchases by known users, by return_share, the returns and cancellations by the purchases.
--   One great order that is cancelled is one return; units_returned beside units_bought tells of it. A share far above the others' is a matter of
--   size, description or quality. Products with few purchases scatter: ten purchases and two returns are not yet 20 %.
SELECT
  e.item_id,
  i.name,
  i.category,
  count(*) FILTER (WHERE e.event = 'purchase') AS purchases,
  count(*) FILTER (WHERE e.event = 'return') AS returns,
  round(count(*) FILTER (WHERE e.event = 'return') / count(*) FILTER (WHERE e.event = 'purchase'), 3) AS return_share,
  sum(CASE WHEN e.event = 'purchase' THEN coalesce(e.quantity, 1) END) AS units_bought,
  sum(CASE WHEN e.event = 'return' THEN coalesce(e.quantity, 1) END) AS units_returned
FROM user_events AS e
LEFT JOIN items AS i ON e.item_id = i.item_id
WHERE e.event IN ('purchase', 'return')
GROUP BY e.item_id, i.name, i.category
HAVING count(*) FILTER (WHERE e.event = 'purchase') >= 10 AND count(*) FILTER (WHERE e.event = 'return') > 0
ORDER BY return_share DESC, e.item_id
LIMIT 20
