-- The champion forecaster on time held out from its training, beside the seasonal profile.
SELECT
  w.dataset, w.value AS wape, w.baseline_value AS baseline_wape, w.n,
  1 - w.value / nullif(w.baseline_value, 0) AS value_added, c.value AS coverage_80
FROM model_metrics AS w
LEFT JOIN model_metrics AS c
  ON c.as_of = w.as_of AND c.model = w.model AND c.model_version = w.model_version AND c.dataset = w.dataset
  AND c.metric = 'coverage_80'
WHERE w.as_of = CAST(:as_of AS DATE) AND w.model = 'sales_forecaster' AND w.is_champion AND w.metric = 'wape'
  AND w.dataset IN (
    'quantity, total', 'quantity, category', 'quantity, product', 'revenue, total', 'revenue, category',
    'revenue, product'
  )
ORDER BY w.dataset
