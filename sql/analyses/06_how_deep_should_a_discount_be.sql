-- Question: Do deeper discounts sell more, and do they still bring more revenue?
-- Reading: All promoted product days, by depth of the discount, each set against the mean of the same product's days
--   without a promotion. An uplift of 2 is twice the usual; where revenue_uplift falls below 1 the discount gave away
--   more than it brought.
WITH usual AS (
  SELECT series_id, avg(quantity) AS units, avg(revenue) AS revenue
  FROM sales_daily
  WHERE level = 'product' AND NOT on_promotion AND NOT is_closed
  GROUP BY series_id
)
SELECT
  CASE
    WHEN s.promotion_depth = 0 THEN 'no discount (advertised)'
    WHEN s.promotion_depth <= 0.1 THEN 'up to 10 %'
    WHEN s.promotion_depth <= 0.2 THEN '10 to 20 %'
    WHEN s.promotion_depth <= 0.3 THEN '20 to 30 %'
    ELSE 'over 30 %'
  END AS discount,
  count(*) AS product_days,
  count(DISTINCT s.series_id) AS products,
  round(sum(s.quantity) / nullif(sum(u.units), 0), 2) AS uplift,
  round(sum(s.revenue) / nullif(sum(u.revenue), 0), 2) AS revenue_uplift
FROM sales_daily AS s
JOIN usual AS u ON s.series_id = u.series_id
WHERE s.level = 'product' AND s.on_promotion AND NOT s.is_closed AND s.quantity IS NOT NULL
GROUP BY discount
ORDER BY min(s.promotion_depth)
