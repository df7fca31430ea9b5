-- Question: When the model says 30 %, is it 30 %?
-- Reading: What the probabilities of next_steps were worth on the days that were held out from their model: users in groups
--   of equal size by the probability of buying, what was said of each group, and the share that did buy. gap is the
--   difference; within noise it should fall on either side of 0. noise is one standard error of the share.
SELECT
  outcome,
  bin,
  users,
  round(predicted, 3) AS said,
  round(observed, 3) AS came,
  round(observed - predicted, 3) AS gap,
  round(sqrt(predicted * (1 - predicted) / users), 3) AS noise
FROM next_step_reliability
WHERE as_of = (SELECT max(as_of) FROM next_step_reliability) AND outcome = 'buys'
ORDER BY outcome, bin
