-- Question: Who are our customers, and is the mix getting better?
-- Reading: RFM segments of the latest night with the number of buyers, their share of the value, and the change in buyers
--   since the earliest night within the last five weeks (empty with one night alone).
WITH night AS (
  SELECT max(as_of) AS as_of FROM rfm_segment_sizes
),
earlier AS (
  SELECT min(r.as_of) AS as_of FROM rfm_segment_sizes AS r JOIN night AS n ON r.as_of >= n.as_of - INTERVAL 35 DAY
)
SELECT
  now.segment,
  now.users,
  round(now.share, 3) AS share,
  round(now.monetary_share, 3) AS share_of_value,
  round(now.mean_recency_days, 0) AS mean_recency_days,
  round(now.mean_frequency, 1) AS mean_frequency,
  CASE WHEN earlier.as_of < night.as_of THEN now.users - before.users END AS change_in_users
FROM rfm_segment_sizes AS now
JOIN night ON now.as_of = night.as_of
CROSS JOIN earlier
LEFT JOIN rfm_segment_sizes AS before ON before.as_of = earlier.as_of AND before.segment = now.segment
ORDER BY now.users DESC, now.segment
