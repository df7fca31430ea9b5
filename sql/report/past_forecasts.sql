-- What earlier nights forecast for days that are over, of the series on the page: of each day the newest forecast.
SELECT
  a.level, a.series_id, a.measure, date_diff('day', a.target_date, CAST(:as_of AS DATE)) AS days_ago, a.mean, a.p10, a.p90
FROM sales_forecast_accuracy AS a
JOIN chosen_series AS c ON a.level = c.level AND a.series_id = c.series_id
WHERE a.target_date <= CAST(:as_of AS DATE) AND date_diff('day', a.target_date, CAST(:as_of AS DATE)) < :product_days
QUALIFY row_number() OVER (PARTITION BY a.level, a.series_id, a.measure, a.target_date ORDER BY a.as_of DESC) = 1
ORDER BY a.level, a.series_id, a.measure, a.target_date
