-- Question: Did past nights call the buyers right?
-- Reading: Nights whose window is over, each with the number of buyers that it expected and the number that came, and how
--   much likelier those who bought had been called than those who did not (1 is no better than chance). bought_of_top_tenth is
--   the share of buyers among the tenth of the users who were called likeliest, beside that of all. Only a night's own knowledge is
--   in its row; empty until the first window is over.
WITH calls AS (
  SELECT n.as_of, n.user_id, n.p_buys, n.window_days
  FROM next_steps AS n
  CROSS JOIN (SELECT max(event_date) AS last_day FROM user_events) AS known
  WHERE n.as_of + n.window_days <= known.last_day
),
came AS (
  SELECT c.as_of, c.user_id, c.p_buys, c.window_days,
    ntile(10) OVER (PARTITION BY c.as_of ORDER BY c.p_buys DESC, c.user_id) AS tenth,
    EXISTS (
      SELECT 1 FROM user_events AS e
      WHERE e.user_id = c.user_id AND e.event = 'purchase' AND e.event_date > c.as_of
        AND e.event_date <= c.as_of + c.window_days
    ) AS bought
  FROM calls AS c
)
SELECT
  as_of,
  max(window_days) AS window_days,
  count(*) AS users,
  round(sum(p_buys), 1) AS buyers_expected,
  count(*) FILTER (WHERE bought) AS buyers,
  round(avg(p_buys) FILTER (WHERE bought), 3) AS said_of_buyers,
  round(avg(p_buys) FILTER (WHERE NOT bought), 3) AS said_of_others,
  round(avg(p_buys) FILTER (WHERE bought) / nullif(avg(p_buys) FILTER (WHERE NOT bought), 0), 2) AS likelier,
  round(avg(CASE WHEN bought THEN 1.0 ELSE 0.0 END), 3) AS bought_of_all,
  round(avg(CASE WHEN bought THEN 1.0 ELSE 0.0 END) FILTER (WHERE tenth = 1), 3) AS bought_of_top_tenth
FROM came
GROUP BY as_of
ORDER BY as_of DESC
LIMIT 20
