-- Every product known at the end of the night: what the products feed says of it, filled up from what was sold and looked at.
WITH states AS (
  SELECT
    item_id, name, category_path, brand, price, stock, active_from, active_to,
    row_number() OVER (
      PARTITION BY item_id
      ORDER BY coalesce(valid_from, DATE '0001-01-01') DESC, file_id DESC, line DESC
    ) AS newest
  FROM core_products
  WHERE (valid_from IS NULL OR valid_from <= :as_of) AND (active_from IS NULL OR active_from <= :as_of)
),
told AS (
  SELECT item_id, name, category_path, brand, price, stock, active_from, active_to FROM states WHERE newest = 1
),
lines AS (
  SELECT item_id, item_name, status, unit_price, ordered_at, order_date
  FROM core_order_lines
  WHERE is_product AND order_date <= :as_of
),
seen AS (
  SELECT item_id, min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(last_sold) AS last_sold
  FROM (
    SELECT
      item_id,
      min(order_date) AS first_seen,
      max(order_date) AS last_seen,
      max(CASE WHEN status = 'sale' THEN order_date END) AS last_sold
    FROM lines
    GROUP BY item_id
    UNION ALL
    SELECT item_id, min(date), max(date), max(CASE WHEN purchases > 0 THEN date END)
    FROM feat_item_clicks
    GROUP BY item_id
  ) AS either_feed
  GROUP BY item_id
),
-- The name and the price that were written last; of several in one moment the greatest, so that the choice is fixed.
last_named AS (
  SELECT item_id, max(ordered_at) AS named_at FROM lines WHERE item_name IS NOT NULL GROUP BY item_id
),
named AS (
  SELECT l.item_id, max(l.item_name) AS name
  FROM lines AS l
  JOIN last_named AS n ON l.item_id = n.item_id AND l.ordered_at = n.named_at
  GROUP BY l.item_id
),
paid AS (
  SELECT item_id, unit_price AS price, ordered_at AS paid_at FROM lines WHERE status = 'sale' AND unit_price > 0
  UNION ALL
  SELECT item_id, last_price, last_paid_at FROM feat_item_clicks WHERE last_paid_at IS NOT NULL
),
last_paid AS (
  SELECT item_id, max(paid_at) AS paid_at FROM paid GROUP BY item_id
),
priced AS (
  SELECT p.item_id, max(p.price) AS price
  FROM paid AS p
  JOIN last_paid AS l ON p.item_id = l.item_id AND p.paid_at = l.paid_at
  GROUP BY p.item_id
),
known AS (
  SELECT item_id FROM told
  UNION
  SELECT item_id FROM seen
),
shop AS (
  SELECT count(category_path) AS with_category FROM told
)
SELECT
  k.item_id,
  coalesce(t.name, n.name) AS name,
  CASE
    WHEN position(' > ' IN t.category_path) > 0
      THEN substr(t.category_path, 1, position(' > ' IN t.category_path) - 1)
    WHEN t.category_path IS NOT NULL THEN t.category_path
    WHEN shop.with_category > 0 THEN 'uncategorised'
  END AS category,
  t.category_path,
  t.brand,
  coalesce(t.price, p.price) AS price,
  t.stock,
  coalesce(t.active_from, s.first_seen) AS active_from,
  t.active_to,
  s.first_seen,
  s.last_seen,
  s.last_sold
FROM known AS k
CROSS JOIN shop
LEFT JOIN told AS t ON k.item_id = t.item_id
LEFT JOIN seen AS s ON k.item_id = s.item_id
LEFT JOIN named AS n ON k.item_id = n.item_id
LEFT JOIN priced AS p ON k.item_id = p.item_id
