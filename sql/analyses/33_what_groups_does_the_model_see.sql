-- Question: Which groups of users does the sequence model see, and what do they go for?
-- Reading: Segments of the latest night, the greatest first: what sets each apart (its figure, then that of all others), its
--   typical products with their lift (2 is twice as usual as with everybody), and how firmly it holds together when half of
--   the users are grouped anew (1 is always). No rows where no sequence network is in force.
SELECT
  s.segment,
  s.users,
  round(s.share, 3) AS share,
  s.description,
  round(s.stability, 2) AS stability,
  i.rank,
  coalesce(p.name, i.item_id) AS typical_product,
  round(i.lift, 2) AS lift
FROM segments AS s
LEFT JOIN segment_items AS i ON i.as_of = s.as_of AND i.segment = s.segment AND i.rank <= 3
LEFT JOIN items AS p ON p.item_id = i.item_id
WHERE s.as_of = (SELECT max(as_of) FROM segments)
ORDER BY s.users DESC, s.segment, i.rank
