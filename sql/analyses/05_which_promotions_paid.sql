-- Question: Which promotions paid?
-- Reading: The twelve products whose promotions of the last 180 days brought most beyond their ordinary days, and the eight that
--   brought least; counted are products with ten units on promotion, three days of it and seven others. uplift is units a day on promotion by units a day
--   without, revenue_uplift the same for revenue: where it is below 1, the discount gave away more than it brought. Revenue is no
--   profit, and days are compared without proving a cause: promotions are often placed on days that sell anyway.
WITH night AS (
  SELECT max(date) AS as_of FROM sales_daily WHERE level = 'total'
),
days AS (
  SELECT
    s.series_id,
    count(*) FILTER (WHERE s.on_promotion) AS promoted_days,
    count(*) FILTER (WHERE NOT s.on_promotion) AS other_days,
    sum(s.quantity) FILTER (WHERE s.on_promotion) AS promoted_units,
    avg(s.quantity) FILTER (WHERE s.on_promotion) AS units_promoted,
    avg(s.quantity) FILTER (WHERE NOT s.on_promotion) AS units_otherwise,
    avg(s.revenue) FILTER (WHERE s.on_promotion) AS revenue_promoted,
    avg(s.revenue) FILTER (WHERE NOT s.on_promotion) AS revenue_otherwise,
    avg(s.promotion_depth) FILTER (WHERE s.on_promotion) AS depth
  FROM sales_daily AS s
  JOIN night AS n ON s.date > n.as_of - INTERVAL 180 DAY AND s.date <= n.as_of
  WHERE s.level = 'product' AND NOT s.is_closed AND s.quantity IS NOT NULL
  GROUP BY s.series_id
),
placed AS (
  SELECT
    *,
    (revenue_promoted - revenue_otherwise) * promoted_days AS extra_revenue,
    row_number() OVER (
      ORDER BY (revenue_promoted - revenue_otherwise) * promoted_days DESC NULLS LAST, series_id
    ) AS place,
    count(*) OVER () AS products
  FROM days
  WHERE promoted_days >= 3 AND other_days >= 7 AND promoted_units >= 10
)
SELECT
  p.series_id AS item_id,
  i.name,
  p.promoted_days,
  round(p.depth, 2) AS mean_discount,
  round(p.units_otherwise, 2) AS units_a_day,
  round(p.units_promoted, 2) AS units_a_promoted_day,
  round(p.units_promoted / nullif(p.units_otherwise, 0), 2) AS uplift,
  round(p.revenue_promoted / nullif(p.revenue_otherwise, 0), 2) AS revenue_uplift,
  round(p.extra_revenue, 2) AS extra_revenue
FROM placed AS p
LEFT JOIN items AS i ON p.series_id = i.item_id
WHERE p.place <= 12 OR p.place > p.products - 8
ORDER BY p.place
