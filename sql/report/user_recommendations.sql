-- What these users are shown next, why, and how likely they buy it.
SELECT
  r.user_id, r.rank, r.item_id, i.name, i.category, r.score, r.source, r.reason, r.is_repeat, r.fallback, p.probability,
  p.window_days
FROM recommendations AS r
JOIN chosen_users AS u ON r.user_id = u.user_id
LEFT JOIN items AS i ON r.item_id = i.item_id
LEFT JOIN purchase_predictions AS p ON r.as_of = p.as_of AND r.user_id = p.user_id AND r.item_id = p.item_id
WHERE r.as_of = CAST(:as_of AS DATE) AND r.rank <= :recommendations
ORDER BY r.user_id, r.rank
