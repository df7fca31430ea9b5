-- The latest of what these users did; the same kind of event on the same product in one visit is told once.
SELECT e.user_id, max(e.position) AS position, e.item_id, i.name, e.event, max(e.event_date) AS event_date, count(*) AS times
FROM user_events AS e
JOIN chosen_users AS u ON e.user_id = u.user_id
LEFT JOIN items AS i ON e.item_id = i.item_id
WHERE e.event_date <= CAST(:as_of AS DATE)
GROUP BY e.user_id, e.session_number, e.item_id, i.name, e.event
QUALIFY row_number() OVER (PARTITION BY e.user_id ORDER BY max(e.position) DESC) <= :events
ORDER BY e.user_id, max(e.position) DESC
