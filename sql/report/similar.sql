-- Similar products of those that people did most with in the last four weeks.
WITH busy AS (
  SELECT e.item_id, count(*) AS events
  FROM user_events AS e
  WHERE date_diff('day', e.event_date, CAST(:as_of AS DATE)) BETWEEN 0 AND 27
    AND EXISTS (SELECT 1 FROM similar_items AS s WHERE s.as_of = CAST(:as_of AS DATE) AND s.item_id = e.item_id)
  GROUP BY e.item_id
  ORDER BY events DESC, e.item_id
  LIMIT :items
)
SELECT
  b.item_id, i.name, i.category, b.events, s.rank, s.similar_item_id, o.name AS similar_name,
  o.category AS similar_category, s.score
FROM busy AS b
JOIN similar_items AS s ON s.as_of = CAST(:as_of AS DATE) AND s.item_id = b.item_id AND s.rank <= :similar
LEFT JOIN items AS i ON b.item_id = i.item_id
LEFT JOIN items AS o ON s.similar_item_id = o.item_id
ORDER BY b.events DESC, b.item_id, s.rank
