-- What probabilities of next steps were worth on held-out days: said beside what came.
SELECT outcome, bin, predicted, observed, users
FROM next_step_reliability
WHERE as_of = CAST(:as_of AS DATE)
ORDER BY outcome, bin
