-- Order lines of typed_orders with what the profile leaves to defaults.
SELECT
  order_id,
  user_id,
  item_id,
  item_name,
  quantity,
  unit_price,
  COALESCE(amount, quantity * unit_price) AS amount,
  currency,
  COALESCE(status, CASE WHEN quantity < 0 THEN 'return' ELSE 'sale' END) AS status,
  COALESCE(is_product, TRUE) AS is_product,
  channel,
  ordered_at,
  order_date,
  file_id,
  line,
  problem,
  row_key
FROM typed_orders
