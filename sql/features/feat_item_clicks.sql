-- What was done with each product on each day from :since on, by anybody, as the browse feed tells it.
WITH clicks AS (
  SELECT item_id, event_date AS date, event, price, event_ts
  FROM core_events
  WHERE feed = 'browse' AND item_id IS NOT NULL AND event_date >= :since AND event_date <= :as_of
),
counted AS (
  SELECT
    item_id,
    date,
    sum(CASE WHEN event = 'view' THEN 1 ELSE 0 END) AS views,
    sum(CASE WHEN event = 'cart' THEN 1 ELSE 0 END) AS carts,
    sum(CASE WHEN event = 'purchase' THEN 1 ELSE 0 END) AS purchases,
    max(CASE WHEN event = 'purchase' AND price > 0 THEN event_ts END) AS last_paid_at
  FROM clicks
  GROUP BY item_id, date
),
-- Of several prices in one moment the greatest, so that the choice is fixed.
paid AS (
  SELECT item_id, date, event_ts, max(price) AS price
  FROM clicks
  WHERE event = 'purchase' AND price > 0
  GROUP BY item_id, date, event_ts
)
SELECT
  c.item_id,
  c.date,
  CAST(c.views AS BIGINT) AS views,
  CAST(c.carts AS BIGINT) AS carts,
  CAST(c.purchases AS BIGINT) AS purchases,
  c.last_paid_at,
  p.price AS last_price
FROM counted AS c
LEFT JOIN paid AS p ON c.item_id = p.item_id AND c.date = p.date AND c.last_paid_at = p.event_ts
