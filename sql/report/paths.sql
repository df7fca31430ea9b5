-- The most frequent paths of visits.
SELECT kind, outcome, rank, path, steps, sessions, share, period_days
FROM path_sequences
WHERE as_of = CAST(:as_of AS DATE) AND rank <= :paths
ORDER BY kind, outcome, rank
