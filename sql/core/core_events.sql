-- Browse events of typed_browse. Purchases and returns of the orders feed come from core_events_of_orders.sql.
SELECT
  user_id,
  session_id,
  item_id,
  event,
  quantity,
  price,
  channel,
  event_ts,
  event_date,
  'browse' AS feed,
  file_id,
  line,
  problem,
  row_key
FROM typed_browse
