-- Who came back, by the week or month of the first event and of the first purchase; a return is no coming back.
-- Weeks and months that ended before :since are left out.
WITH days AS (
  SELECT
    user_id,
    event_date,
    max(CASE WHEN event = 'purchase' THEN 1 ELSE 0 END) AS has_purchase,
    sum(CASE WHEN event = 'purchase' THEN coalesce(quantity, 1) * price END) AS value
  FROM feat_user_events
  WHERE event <> 'return'
    AND event_date >= least(CAST(date_trunc('week', :since) AS DATE), CAST(date_trunc('month', :since) AS DATE))
  GROUP BY user_id, event_date
),
activity AS (
  SELECT 'event' AS basis, user_id, event_date, value FROM days
  UNION ALL
  SELECT 'purchase', user_id, event_date, value FROM days WHERE has_purchase = 1
),
periods AS (
  SELECT basis, 'week' AS grain, user_id, CAST(date_trunc('week', event_date) AS DATE) AS period_start, sum(value) AS value
  FROM activity
  WHERE event_date >= CAST(date_trunc('week', :since) AS DATE)
  GROUP BY basis, user_id, CAST(date_trunc('week', event_date) AS DATE)
  UNION ALL
  SELECT basis, 'month', user_id, CAST(date_trunc('month', event_date) AS DATE), sum(value)
  FROM activity
  WHERE event_date >= CAST(date_trunc('month', :since) AS DATE)
  GROUP BY basis, user_id, CAST(date_trunc('month', event_date) AS DATE)
),
first_days AS (
  SELECT
    user_id,
    min(event_date) AS first_event,
    min(CASE WHEN event = 'purchase' THEN event_date END) AS first_purchase
  FROM feat_user_events
  WHERE event <> 'return'
  GROUP BY user_id
),
firsts AS (
  SELECT 'event' AS basis, user_id, first_event AS first_day FROM first_days
  UNION ALL
  SELECT 'purchase', user_id, first_purchase FROM first_days WHERE first_purchase IS NOT NULL
),
cohorts_of AS (
  SELECT basis, 'week' AS grain, user_id, CAST(date_trunc('week', first_day) AS DATE) AS cohort FROM firsts
  UNION ALL
  SELECT basis, 'month', user_id, CAST(date_trunc('month', first_day) AS DATE) FROM firsts
),
joined AS (
  SELECT p.basis, p.grain, p.period_start, p.value, c.cohort
  FROM periods AS p
  JOIN cohorts_of AS c ON p.basis = c.basis AND p.grain = c.grain AND p.user_id = c.user_id
),
active AS (
  SELECT basis, grain, cohort, period_start, count(*) AS active_users, sum(value) AS value
  FROM joined
  GROUP BY basis, grain, cohort, period_start
),
cohorts AS (
  SELECT basis, grain, cohort, count(*) AS users FROM cohorts_of GROUP BY basis, grain, cohort
),
starts AS (
  SELECT basis, grain, period_start FROM active GROUP BY basis, grain, period_start
)
SELECT
  c.basis,
  c.grain,
  c.cohort,
  CAST(
    CASE
      WHEN c.grain = 'month' THEN
        12 * (extract(YEAR FROM s.period_start) - extract(YEAR FROM c.cohort))
        + extract(MONTH FROM s.period_start) - extract(MONTH FROM c.cohort)
      ELSE extract(DAY FROM CAST(s.period_start AS TIMESTAMP) - CAST(c.cohort AS TIMESTAMP)) / 7
    END AS INTEGER
  ) AS period,
  s.period_start,
  c.users,
  coalesce(a.active_users, 0) AS active_users,
  round(CAST(coalesce(a.active_users, 0) AS DOUBLE) / c.users, 6) AS retention,
  CASE WHEN a.value IS NOT NULL THEN round(a.value, 4) WHEN :prices_known AND a.cohort IS NULL THEN 0 END AS value,
  CASE
    WHEN c.grain = 'month' THEN s.period_start + INTERVAL '1' MONTH - INTERVAL '1' DAY <= :as_of
    ELSE s.period_start + INTERVAL '6' DAY <= :as_of
  END AS period_over
FROM cohorts AS c
JOIN starts AS s ON c.basis = s.basis AND c.grain = s.grain AND s.period_start >= c.cohort
LEFT JOIN active AS a
  ON c.basis = a.basis AND c.grain = a.grain AND c.cohort = a.cohort AND s.period_start = a.period_start
