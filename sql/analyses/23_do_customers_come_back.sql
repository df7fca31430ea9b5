-- Question: Do customers come back, and are newer cohorts better than older ones?
-- Reading: Customers by the month of their first purchase. month_1 is the share that bought again in the month after,
--   and so on; read down a column to compare cohorts. Months that are not over yet are left empty.
SELECT
  cohort,
  max(users) AS customers,
  round(max(CASE WHEN period = 1 THEN retention END), 3) AS month_1,
  round(max(CASE WHEN period = 2 THEN retention END), 3) AS month_2,
  round(max(CASE WHEN period = 3 THEN retention END), 3) AS month_3,
  round(max(CASE WHEN period = 6 THEN retention END), 3) AS month_6,
  round(max(CASE WHEN period = 12 THEN retention END), 3) AS month_12,
  round(sum(value) / nullif(max(users), 0), 2) AS value_per_customer
FROM cohort_retention
WHERE basis = 'purchase' AND grain = 'month' AND period_over
GROUP BY cohort
ORDER BY cohort
