-- States of products of typed_products.
SELECT
  item_id,
  valid_from,
  name,
  category_path,
  brand,
  price,
  stock,
  active_from,
  active_to,
  file_id,
  line,
  problem,
  row_key
FROM typed_products
