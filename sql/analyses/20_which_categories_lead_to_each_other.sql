-- Question: When people change the category, from which do they move to which?
-- Reading: Changes of category within a session, staying left out. probability is the share of the changes away from one
--   category that lead to the other; lift sets it against the share of all changes that lead there: above 1 they go
--   together, which is useful for menus, links and bundles.
WITH changes AS (
  SELECT from_state, to_state, transitions
  FROM path_transitions
  WHERE as_of = (SELECT max(as_of) FROM path_transitions)
    AND kind = 'category'
    AND from_state NOT IN (to_state, '(start)')
    AND to_state <> '(end)'
),
shares AS (
  SELECT
    from_state,
    to_state,
    transitions,
    transitions / sum(transitions) OVER (PARTITION BY from_state) AS probability,
    sum(transitions) OVER (PARTITION BY to_state) / sum(transitions) OVER () AS share_of_to_state
  FROM changes
)
SELECT
  from_state AS from_category,
  to_state AS to_category,
  transitions,
  round(probability, 4) AS probability,
  round(probability / share_of_to_state, 2) AS lift
FROM shares
ORDER BY lift DESC, transitions DESC, from_state, to_state
LIMIT 20
