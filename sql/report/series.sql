-- Series that the page can show: the total, every category, and the products with the greatest expected sales.
WITH sizes AS (
  SELECT
    level, series_id, sum(mean) AS expected, max(CAST(fallback AS INTEGER)) AS fallback, max(model) AS model,
    row_number() OVER (PARTITION BY level ORDER BY sum(mean) DESC, series_id) AS place,
    count(*) OVER (PARTITION BY level) AS in_level
  FROM sales_forecasts
  WHERE as_of = CAST(:as_of AS DATE) AND measure = :measure
  GROUP BY level, series_id
)
SELECT
  s.level, s.series_id, i.name, i.category, s.expected, s.in_level, s.fallback, s.model,
  CASE WHEN s.level = 'product' THEN i.first_seen END AS first_seen
FROM sizes AS s
LEFT JOIN items AS i ON s.level = 'product' AND s.series_id = i.item_id
WHERE s.level = 'total' OR s.place <= CASE WHEN s.level = 'product' THEN :products ELSE :categories END
ORDER BY CASE s.level WHEN 'total' THEN 1 WHEN 'category' THEN 2 ELSE 3 END, s.place
