-- Sales by week for the last twelve weeks; week 0 is the one that ends with the night.
SELECT
  CAST(floor(date_diff('day', date, CAST(:as_of AS DATE)) / 7) AS INTEGER) AS weeks_ago,
  sum(quantity) AS units,
  sum(revenue) AS revenue,
  sum(orders) AS orders
FROM sales_daily
WHERE level = 'total' AND date_diff('day', date, CAST(:as_of AS DATE)) BETWEEN 0 AND 83
GROUP BY weeks_ago
HAVING count(*) = 7
ORDER BY weeks_ago DESC
