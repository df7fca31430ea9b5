-- What the next seven days are expected to bring, beside the seasonal profile.
SELECT measure, count(*) AS days, sum(mean) AS expected, sum(baseline) AS baseline
FROM sales_forecasts
WHERE as_of = CAST(:as_of AS DATE) AND level = 'total' AND horizon <= 7
GROUP BY measure
ORDER BY measure
