-- Question: Do customers come back, and are newer cohorts better than older ones?
-- Reading: Customers by the month of their first purchase. month_1 is the share that bought again in the month after,
--   and so on; read down a column to compare cohorts. Months that are not over yet are left empty. value_first_3_months is what
--   a customer bought in the month of the first purchase and the two after it, so that old and new cohorts compare. Customers of
--   old who come to a shop's first exports are in its first cohorts, which therefore look better than they were.
SELECT
  cohort,
  max(users) AS customers,
  round(max(CASE WHEN period = 1 THEN retention END), 3) AS month_1,
  round(max(CASE WHEN period = 2 THEN retention END), 3) AS month_2,
  round(max(CASE WHEN period = 3 THEN retention END), 3) AS month_3,
  round(max(CASE WHEN period = 6 THEN retention END), 3) AS month_6,
  round(max(CASE WHEN period = 12 THEN retention END), 3) AS month_12,
  CASE
    WHEN max(period) >= 2 THEN round(sum(CASE WHEN period <= 2 THEN value END) / nullif(max(users), 0), 2)
  END AS value_first_3_months
FROM cohort_retention
WHERE basis = 'purchase' AND grain = 'month' AND period_over
GROUP BY cohort
ORDER BY cohort
