-- Question: Which products are bought again, and after how many days?
-- Reading: Products that at least five users bought on two or more days. median_days is the time between two such days:
--   the moment for a reminder. repeat_share is the share of buyers who came back for it.
WITH days AS (
  SELECT user_id, item_id, event_date,
    lag(event_date) OVER (PARTITION BY user_id, item_id ORDER BY event_date) AS day_before
  FROM (SELECT DISTINCT user_id, item_id, event_date FROM user_events WHERE event = 'purchase') AS bought
)
SELECT
  d.item_id,
  i.name,
  count(DISTINCT d.user_id) AS buyers,
  count(DISTINCT CASE WHEN d.day_before IS NOT NULL THEN d.user_id END) AS repeat_buyers,
  round(
    count(DISTINCT CASE WHEN d.day_before IS NOT NULL THEN d.user_id END) / count(DISTINCT d.user_id),
    3
  ) AS repeat_share,
  median(date_diff('day', d.day_before, d.event_date)) AS median_days
FROM days AS d
LEFT JOIN items AS i ON d.item_id = i.item_id
GROUP BY d.item_id, i.name
HAVING count(DISTINCT CASE WHEN d.day_before IS NOT NULL THEN d.user_id END) >= 5
ORDER BY repeat_buyers DESC, d.item_id
LIMIT 20
