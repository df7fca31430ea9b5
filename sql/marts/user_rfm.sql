-- Recency, frequency and monetary value of everybody who ever bought, and the segment that follows.
WITH deals AS (
  SELECT
    user_id,
    event_date,
    event,
    CASE WHEN event = 'return' THEN -coalesce(quantity, 1) ELSE coalesce(quantity, 1) END AS units,
    price
  FROM feat_user_events
  WHERE event IN ('purchase', 'return')
),
buyers AS (
  SELECT
    user_id,
    min(CASE WHEN event = 'purchase' THEN event_date END) AS first_purchase,
    max(CASE WHEN event = 'purchase' THEN event_date END) AS last_purchase,
    count(DISTINCT CASE WHEN event = 'purchase' THEN event_date END) AS frequency,
    round(sum(units), 4) AS units,
    round(sum(units * price), 4) AS monetary
  FROM deals
  GROUP BY user_id
  HAVING max(CASE WHEN event = 'purchase' THEN 1 ELSE 0 END) = 1
),
-- Equal figures score alike: the longest ago and the least frequent begin at 1, the most recent end at 5.
placed AS (
  SELECT
    user_id, first_purchase, last_purchase, frequency, units, monetary,
    count(*) OVER () AS n,
    count(monetary) OVER () AS n_priced,
    rank() OVER (ORDER BY last_purchase DESC) AS recency_place,
    rank() OVER (ORDER BY frequency) AS frequency_place,
    rank() OVER (ORDER BY CASE WHEN monetary IS NULL THEN 1 ELSE 0 END, monetary) AS monetary_place
  FROM buyers
),
scored AS (
  SELECT
    user_id, first_purchase, last_purchase, frequency, units, monetary,
    CAST(5 - floor(CAST(5 * (recency_place - 1) AS DOUBLE) / n) AS INTEGER) AS recency_score,
    CAST(1 + floor(CAST(5 * (frequency_place - 1) AS DOUBLE) / n) AS INTEGER) AS frequency_score,
    CASE
      WHEN monetary IS NOT NULL THEN CAST(1 + floor(CAST(5 * (monetary_place - 1) AS DOUBLE) / nullif(n_priced, 0)) AS INTEGER)
    END AS monetary_score
  FROM placed
)
SELECT
  user_id,
  first_purchase,
  last_purchase,
  CAST(extract(DAY FROM CAST(:as_of AS TIMESTAMP) - CAST(last_purchase AS TIMESTAMP)) AS INTEGER) AS recency_days,
  frequency,
  units,
  monetary,
  recency_score,
  frequency_score,
  monetary_score,
  CASE
    WHEN recency_score = 5 AND frequency_score >= 4 THEN 'champions'
    WHEN recency_score >= 3 AND frequency_score >= 4 THEN 'loyal'
    WHEN recency_score >= 4 AND frequency_score >= 2 THEN 'potential loyalists'
    WHEN recency_score = 5 THEN 'new customers'
    WHEN recency_score = 4 THEN 'promising'
    WHEN recency_score = 3 AND frequency_score = 3 THEN 'need attention'
    WHEN recency_score = 3 THEN 'about to sleep'
    WHEN frequency_score = 5 THEN 'cannot lose them'
    WHEN frequency_score >= 3 THEN 'at risk'
    ELSE 'hibernating'
  END AS segment
FROM scored
