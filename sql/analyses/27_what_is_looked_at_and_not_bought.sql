-- Question: Which products are looked at a lot and hardly bought?
-- Reading: Products with at least 50 views in the last 28 days that sell less by their views than their category does, those first
--   that miss most: missing_units is how many more would have been sold at the rate of the category. The price, the pictures or the
--   stock may be wrong. What is dear, or bought once in years, is looked at more often in any shop.
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
recent AS (
  SELECT s.level, s.series_id, sum(s.views) AS views, sum(s.carts) AS carts, sum(s.quantity) AS units
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - INTERVAL 28 DAY AND s.date <= n.as_of
  GROUP BY s.level, s.series_id
)
SELECT
  r.series_id AS item_id,
  i.name,
  i.category,
  i.price,
  i.stock,
  r.views,
  r.carts,
  r.units,
  round(100 * r.units / r.views, 2) AS units_per_100_views,
  round(100 * c.units / c.views, 2) AS of_its_category,
  round(r.views * c.units / c.views - r.units, 1) AS missing_units
FROM recent AS r
JOIN items AS i ON r.series_id = i.item_id
JOIN recent AS c ON c.level = 'category' AND c.series_id = i.category AND c.views > 0
WHERE r.level = 'product' AND r.views >= 50 AND r.units < r.views * c.units / c.views
ORDER BY missing_units DESC, r.views DESC, item_id
LIMIT 20
