-- Question: How much of the revenue hangs on few customers?
-- Reading: Buyers in tenths by the value that they bought. cumulative_share of the first row is what the best tenth brings;
--   an even shop would show 0.10.
WITH placed AS (
  SELECT monetary, ntile(10) OVER (ORDER BY monetary DESC, user_id) AS tenth
  FROM user_rfm
  WHERE monetary IS NOT NULL
),
tenths AS (
  SELECT tenth, count(*) AS users, sum(monetary) AS value FROM placed GROUP BY tenth
)
SELECT
  tenth,
  users,
  round(value, 2) AS value,
  round(value / nullif(sum(value) OVER (), 0), 3) AS share,
  round(
    sum(value) OVER (ORDER BY tenth ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
      / nullif(sum(value) OVER (), 0),
    3
  ) AS cumulative_share
FROM tenths
ORDER BY tenth
