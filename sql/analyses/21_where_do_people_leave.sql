-- Question: At which products do people leave without buying?
-- Reading: Products looked at last in sessions of the last four weeks that ended without a purchase. exit_share is the share
--   of the sessions that touched the product and ended there with nothing bought; extra_exits is how many that are beyond what
--   the mean of all products would have lost. The pages at the top are worth a look: price, pictures, stock, delivery.
WITH night AS (
  SELECT max(session_date) AS as_of FROM sessions
),
recent AS (
  SELECT s.user_id, s.session_number, s.converted, s.exit_item_id
  FROM sessions AS s
  JOIN night AS n ON s.session_date > n.as_of - INTERVAL 28 DAY
),
touched AS (
  SELECT e.item_id, count(DISTINCT (r.user_id, r.session_number)) AS sessions
  FROM recent AS r
  JOIN user_events AS e ON r.user_id = e.user_id AND r.session_number = e.session_number
  GROUP BY e.item_id
),
exits AS (
  SELECT exit_item_id AS item_id, count(*) AS exits FROM recent WHERE NOT converted GROUP BY exit_item_id
)
SELECT
  x.item_id,
  i.name,
  i.category,
  t.sessions,
  x.exits,
  round(x.exits / t.sessions, 3) AS exit_share,
  round(x.exits - t.sessions * ((SELECT sum(exits) FROM exits) / (SELECT sum(sessions) FROM touched)), 1) AS extra_exits
FROM exits AS x
JOIN touched AS t ON x.item_id = t.item_id
LEFT JOIN items AS i ON x.item_id = i.item_id
WHERE t.sessions >= 10
ORDER BY extra_exits DESC, x.item_id
LIMIT 20
