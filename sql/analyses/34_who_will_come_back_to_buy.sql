-- Question: How many customers will buy in the next days, and which are the surest?
-- Reading: The twenty users who are likeliest to buy anything within window_days after the latest night, beside the number of
--   buyers expected in all (the sum of everybody's probability). likeliest is the next kind of event, or nothing. Where
--   by_floor is true no model could beat the plain share of buyers, and users hardly differ.
WITH latest AS (
  SELECT * FROM next_steps WHERE as_of = (SELECT max(as_of) FROM next_steps)
)
SELECT
  n.user_id,
  round(n.p_buys, 3) AS p_buys,
  n.window_days,
  n.last_event,
  n.likeliest,
  u.segment,
  round(u.monetary, 2) AS bought_for,
  n.buys_fallback AS by_floor,
  round((SELECT sum(p_buys) FROM latest), 1) AS buyers_expected,
  (SELECT count(*) FROM latest) AS active_users
FROM latest AS n
LEFT JOIN user_rfm AS u ON u.user_id = n.user_id
ORDER BY n.p_buys DESC, n.user_id
LIMIT 20
