-- What was sold in the weeks before the night, of the series on the page.
SELECT
  s.level, s.series_id, date_diff('day', s.date, CAST(:as_of AS DATE)) AS days_ago, s.quantity, s.revenue,
  s.on_promotion, s.is_holiday
FROM sales_daily AS s
JOIN chosen_series AS c ON s.level = c.level AND s.series_id = c.series_id
WHERE date_diff('day', s.date, CAST(:as_of AS DATE)) BETWEEN 0
  AND CASE WHEN s.level = 'product' THEN :product_days ELSE :days END - 1
ORDER BY s.level, s.series_id, s.date
