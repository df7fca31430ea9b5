-- Figures of the model of next steps on held-out days, beside those of its floor.
SELECT m.dataset, m.metric, m.value, m.baseline_value, m.n
FROM model_metrics AS m
JOIN (
  SELECT DISTINCT model_version FROM next_steps WHERE as_of = CAST(:as_of AS DATE)
) AS v ON v.model_version = m.model_version
WHERE m.as_of = CAST(:as_of AS DATE) AND m.model = 'next_item'
  AND (m.dataset LIKE 'next step within %' OR m.dataset LIKE 'user buys within %')
ORDER BY m.dataset, m.metric
