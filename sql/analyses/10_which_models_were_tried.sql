-- Question: Which model versions were tried, which won, and why?
-- Reading: Versions of both models, the newest first. data_cutoff is the last day that a version had seen; reason holds the
--   figures that decided whether it was promoted, and champion_until is the last night whose results it made.
SELECT
  v.model,
  v.model_version,
  v.data_cutoff,
  v.decision,
  v.reason,
  max(m.as_of) FILTER (WHERE m.is_champion) AS champion_until
FROM model_versions AS v
LEFT JOIN model_metrics AS m ON v.model = m.model AND v.model_version = m.model_version
GROUP BY v.model, v.model_version, v.data_cutoff, v.decision, v.reason
ORDER BY v.model, v.data_cutoff DESC, v.model_version DESC
LIMIT 20
