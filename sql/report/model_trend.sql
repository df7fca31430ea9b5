-- The champions' figures on held-out time, night by night, beside their baselines'.
SELECT as_of, model, dataset, metric, value, baseline_value, n, model_version
FROM model_metrics
WHERE is_champion AND as_of <= CAST(:as_of AS DATE)
  AND (
    (model = 'sales_forecaster' AND dataset IN ('quantity, total', 'quantity, product') AND metric = 'wape')
    OR (model = 'next_item' AND dataset IN ('next event', 'next purchase') AND metric IN ('hr_10', 'ndcg_10'))
  )
  AND date_diff('day', as_of, CAST(:as_of AS DATE)) < 180
ORDER BY model DESC, dataset, metric, as_of
