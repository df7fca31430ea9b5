-- What is known of the days to forecast, for every series that still sells.
WITH selling AS (
  SELECT level, series_id
  FROM feat_sales_daily
  WHERE orders > 0 AND date >= :active_since
  GROUP BY level, series_id
),
products AS (
  SELECT s.series_id AS item_id, i.category
  FROM selling AS s
  JOIN feat_items AS i ON s.series_id = i.item_id
  WHERE s.level = 'product' AND (i.active_to IS NULL OR i.active_to > :as_of)
),
days AS (
  SELECT date, is_holiday, is_closed FROM shop_calendar WHERE date > :as_of
),
grid AS (
  SELECT
    p.item_id, p.category, d.date, d.is_holiday, d.is_closed,
    CASE WHEN m.item_id IS NULL THEN 0 ELSE 1 END AS promoted,
    m.depth
  FROM products AS p
  CROSS JOIN days AS d
  LEFT JOIN feat_promotion_days AS m ON p.item_id = m.item_id AND d.date = m.date
),
group_grid AS (
  SELECT
    'category' AS level, category AS series_id, date, max(promoted) AS promoted,
    avg(CAST(promoted AS DOUBLE)) AS promotion_share,
    avg(CASE WHEN promoted = 1 THEN round(depth * 1000000) END) AS millionths
  FROM grid
  WHERE category IS NOT NULL
  GROUP BY category, date
  UNION ALL
  SELECT
    'total', 'total', date, max(promoted), avg(CAST(promoted AS DOUBLE)),
    avg(CASE WHEN promoted = 1 THEN round(depth * 1000000) END)
  FROM grid
  GROUP BY date
)
SELECT
  'product' AS level,
  item_id AS series_id,
  date,
  promoted = 1 AS on_promotion,
  CAST(promoted AS DOUBLE) AS promotion_share,
  coalesce(depth, 0) AS promotion_depth,
  is_holiday,
  is_closed
FROM grid
UNION ALL
SELECT
  s.level,
  s.series_id,
  d.date,
  coalesce(g.promoted, 0) = 1,
  coalesce(round(g.promotion_share, 6), 0),
  coalesce(round(g.millionths) / 1000000, 0),
  d.is_holiday,
  d.is_closed
FROM selling AS s
CROSS JOIN days AS d
LEFT JOIN group_grid AS g ON s.level = g.level AND s.series_id = g.series_id AND d.date = g.date
WHERE s.level <> 'product'
