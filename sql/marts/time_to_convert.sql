-- From the first view to the first purchase after it, in buckets, for the purchases of the period.
WITH buckets AS (
  SELECT bucket, label, from_days, to_days
  FROM (
    VALUES
      (1, 'same session', 0, CAST(NULL AS INTEGER)),
      (2, 'same day, later session', 0, 0),
      (3, 'next day', 1, 1),
      (4, '2 to 3 days', 2, 3),
      (5, '4 to 7 days', 4, 7),
      (6, '8 to 14 days', 8, 14),
      (7, '15 to 30 days', 15, 30),
      (8, '31 to 90 days', 31, 90),
      (9, 'over 90 days', 91, NULL)
  ) AS listed (bucket, label, from_days, to_days)
),
counted AS (
  SELECT c.measure, c.level, c.series_id, b.bucket, sum(c.conversions) AS conversions
  FROM conversions_daily AS c
  JOIN buckets AS b
    ON (c.same_session AND b.bucket = 1)
    OR (NOT c.same_session AND b.bucket > 1 AND c.days >= b.from_days AND c.days <= coalesce(b.to_days, c.days))
  WHERE c.date >= :trajectory_since
  GROUP BY c.measure, c.level, c.series_id, b.bucket
),
groups AS (
  SELECT measure, level, series_id, sum(conversions) AS conversions
  FROM counted
  GROUP BY measure, level, series_id
),
filled AS (
  SELECT
    g.measure, g.level, g.series_id, b.bucket, b.label, b.from_days, b.to_days,
    coalesce(c.conversions, 0) AS conversions,
    g.conversions AS all_conversions,
    sum(coalesce(c.conversions, 0)) OVER (
      PARTITION BY g.measure, g.level, g.series_id ORDER BY b.bucket
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS conversions_so_far
  FROM groups AS g
  CROSS JOIN buckets AS b
  LEFT JOIN counted AS c
    ON g.measure = c.measure AND g.level = c.level AND g.series_id = c.series_id AND b.bucket = c.bucket
)
SELECT
  :as_of AS as_of,
  measure,
  level,
  series_id,
  CAST(bucket AS INTEGER) AS bucket,
  label,
  CAST(from_days AS INTEGER) AS from_days,
  CAST(to_days AS INTEGER) AS to_days,
  CAST(conversions AS BIGINT) AS conversions,
  round(CAST(conversions AS DOUBLE) / all_conversions, 6) AS share,
  round(CAST(conversions_so_far AS DOUBLE) / all_conversions, 6) AS cumulative_share,
  CAST(:trajectory_days AS INTEGER) AS period_days
FROM filled
