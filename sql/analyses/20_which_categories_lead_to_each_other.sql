-- Question: From which category do people move to which?
-- Reading: Changes of category within a session that are more frequent than chance (lift above 1), the surest first.
--   probability is the share of steps from one category that lead to the other; useful for menus, links and bundles.
SELECT from_state, to_state, transitions, round(probability, 4) AS probability, round(lift, 2) AS lift
FROM path_transitions
WHERE as_of = (SELECT max(as_of) FROM path_transitions)
  AND kind = 'category'
  AND from_state <> to_state
  AND from_state <> '(start)'
  AND to_state <> '(end)'
ORDER BY lift DESC, transitions DESC, from_state, to_state
LIMIT 20
