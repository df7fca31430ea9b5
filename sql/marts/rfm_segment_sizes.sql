-- The size and the worth of each segment in this night; no rows where nobody ever bought.
WITH known_segments AS (
  SELECT segment
  FROM (
    VALUES
      ('champions'), ('loyal'), ('potential loyalists'), ('new customers'), ('promising'),
      ('need attention'), ('about to sleep'), ('at risk'), ('cannot lose them'), ('hibernating')
  ) AS listed (segment)
),
buyers AS (
  SELECT count(*) AS users, sum(monetary) AS monetary FROM user_rfm
),
sizes AS (
  SELECT
    segment,
    count(*) AS users,
    sum(monetary) AS monetary,
    avg(CAST(recency_days AS DOUBLE)) AS mean_recency_days,
    avg(CAST(frequency AS DOUBLE)) AS mean_frequency
  FROM user_rfm
  GROUP BY segment
)
SELECT
  :as_of AS as_of,
  s.segment,
  coalesce(z.users, 0) AS users,
  round(CAST(coalesce(z.users, 0) AS DOUBLE) / b.users, 6) AS share,
  round(CASE WHEN z.segment IS NULL AND b.monetary IS NOT NULL THEN 0 ELSE z.monetary END, 4) AS monetary,
  round(
    CASE WHEN z.segment IS NULL AND b.monetary IS NOT NULL THEN 0 ELSE z.monetary END
      / nullif(round(b.monetary, 4), 0),
    6
  ) AS monetary_share,
  round(z.mean_recency_days, 4) AS mean_recency_days,
  round(z.mean_frequency, 4) AS mean_frequency
FROM known_segments AS s
JOIN buyers AS b ON b.users > 0
LEFT JOIN sizes AS z ON s.segment = z.segment
