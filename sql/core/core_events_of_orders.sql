-- Purchases and returns of products, as events, from order lines that are new or changed.
SELECT
  user_id,
  NULL AS session_id,
  item_id,
  CASE WHEN status = 'sale' THEN 'purchase' ELSE 'return' END AS event,
  ABS(quantity) AS quantity,
  unit_price AS price,
  channel,
  ordered_at AS event_ts,
  order_date AS event_date,
  'orders' AS feed,
  file_id,
  line
FROM changed_order_lines
WHERE is_product
