-- Question: On which paths do people come to buy, and on which do they leave?
-- Reading: The ten most frequent paths of kinds of events to the first purchase of a session, and the ten to leaving
--   without one, in the period before the latest night. share is of all sessions with that outcome.
SELECT outcome, rank, path, sessions, users, round(share, 4) AS share, period_days
FROM path_sequences
WHERE as_of = (SELECT max(as_of) FROM path_sequences) AND kind = 'event' AND rank <= 10
ORDER BY outcome DESC, rank
