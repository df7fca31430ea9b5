-- Question: Which good customers are likely to stay away?
-- Reading: Of the better three fifths of buyers by value those of whom nothing is expected for window_days after the latest
--   night, by the value that is at stake: what they bought so far, times the probability that nothing comes.
SELECT
  n.user_id,
  u.segment,
  round(u.monetary, 2) AS bought_for,
  u.last_purchase,
  u.recency_days,
  round(n.p_nothing, 3) AS p_nothing,
  round(n.p_buys, 3) AS p_buys,
  round(u.monetary * n.p_nothing, 2) AS at_stake
FROM next_steps AS n
JOIN user_rfm AS u ON u.user_id = n.user_id
WHERE n.as_of = (SELECT max(as_of) FROM next_steps)
  AND u.monetary_score >= 3 AND u.monetary > 0 AND n.likeliest = 'nothing'
ORDER BY at_stake DESC, n.user_id
LIMIT 20
