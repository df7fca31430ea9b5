-- Segments of users by the states of the sequence network, the greatest first.
SELECT segment, users, share, description, typical_items, events_a_user, purchase_days_a_user, value_a_user, stability,
  period_days, model_version
FROM segments
WHERE as_of = CAST(:as_of AS DATE)
ORDER BY users DESC, segment
