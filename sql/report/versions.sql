-- The newest versions of each model, and why they were promoted or not.
SELECT model, model_version, data_cutoff, decision, reason
FROM model_versions
WHERE data_cutoff <= CAST(:as_of AS DATE)
QUALIFY row_number() OVER (PARTITION BY model ORDER BY data_cutoff DESC, model_version DESC) <= 8
ORDER BY model DESC, data_cutoff DESC, model_version DESC
