-- Question: Which promotions paid?
-- Reading: Products with at least three promoted and seven other days in the last 180. uplift is units a day on
--   promotion by units a day without; revenue_uplift is the same for revenue, so above 1 the promotion brought more money
--   than ordinary days did. It compares days and proves no cause: promotions are often placed on days that sell anyway.
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
days AS (
  SELECT
    s.series_id,
    count(*) FILTER (WHERE s.on_promotion) AS promoted_days,
    count(*) FILTER (WHERE NOT s.on_promotion) AS other_days,
    avg(s.quantity) FILTER (WHERE s.on_promotion) AS units_promoted,
    avg(s.quantity) FILTER (WHERE NOT s.on_promotion) AS units_otherwise,
    avg(s.revenue) FILTER (WHERE s.on_promotion) AS revenue_promoted,
    avg(s.revenue) FILTER (WHERE NOT s.on_promotion) AS revenue_otherwise,
    avg(s.promotion_depth) FILTER (WHERE s.on_promotion) AS depth
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - INTERVAL 180 DAY AND s.date <= n.as_of
  WHERE s.level = 'product' AND NOT s.is_closed AND s.quantity IS NOT NULL
  GROUP BY s.series_id
)
SELECT
  d.series_id AS item_id,
  i.name,
  d.promoted_days,
  round(d.depth, 2) AS mean_discount,
  round(d.units_otherwise, 2) AS units_a_day,
  round(d.units_promoted, 2) AS units_a_promoted_day,
  round(d.units_promoted / nullif(d.units_otherwise, 0), 2) AS uplift,
  round(d.revenue_promoted / nullif(d.revenue_otherwise, 0), 2) AS revenue_uplift,
  round((d.revenue_promoted - d.revenue_otherwise) * d.promoted_days, 2) AS extra_revenue
FROM days AS d
LEFT JOIN items AS i ON d.series_id = i.item_id
WHERE d.promoted_days >= 3 AND d.other_days >= 7
ORDER BY extra_revenue DESC NULLS LAST, item_id
LIMIT 20
