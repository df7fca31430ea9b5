-- Promotions of typed_promotions.
SELECT
  promotion_id,
  item_id,
  category,
  kind,
  starts_on,
  ends_on,
  announced_on,
  depth,
  file_id,
  line,
  problem,
  row_key
FROM typed_promotions
