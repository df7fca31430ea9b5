-- Each product on each day of a promotion of it, or of a category above it, past and planned, as known on the night.
WITH known AS (
  SELECT item_id, category, starts_on, ends_on, depth
  FROM core_promotions
  WHERE announced_on IS NULL OR announced_on <= :as_of
),
items AS (
  SELECT item_id, category_path FROM feat_items
),
paths AS (
  SELECT DISTINCT category_path FROM items WHERE category_path IS NOT NULL
),
category_promotions AS (
  SELECT p.category_path, c.starts_on, c.ends_on, c.depth
  FROM paths AS p
  JOIN known AS c
    ON p.category_path = c.category
    OR substr(p.category_path, 1, length(c.category) + 3) = concat(c.category, ' > ')
  WHERE c.item_id IS NULL
),
promoted AS (
  SELECT i.item_id, c.starts_on, c.ends_on, c.depth
  FROM items AS i
  JOIN known AS c ON i.item_id = c.item_id
  UNION ALL
  SELECT i.item_id, c.starts_on, c.ends_on, c.depth
  FROM items AS i
  JOIN category_promotions AS c ON i.category_path = c.category_path
)
SELECT p.item_id, d.date, count(*) AS promotions, max(p.depth) AS depth
FROM promoted AS p
JOIN shop_calendar AS d ON d.date >= p.starts_on AND d.date <= p.ends_on
GROUP BY p.item_id, d.date
