-- What was sold of each product on each day; the cancellations that undo a sale are left out with it.
WITH order_lines AS (
  SELECT
    filename, line, order_id, user_id, item_id, quantity, coalesce(unit_price, -1) AS price_key, amount, status,
    ordered_at, order_date
  FROM {{ ref('core_order_lines') }}
  WHERE is_product
),
-- A cancellation of a whole line undoes the sale: a cancelled order of 80,995 units was never demand. Of the lines of
-- one user, item, quantity and price, a cancellation right after a sale makes a pair; both are left out.
cancelled AS (
  SELECT DISTINCT user_id, item_id, -quantity AS quantity, price_key
  FROM order_lines
  WHERE status = 'cancellation' AND user_id IS NOT NULL
),
in_doubt AS (
  SELECT
    l.filename, l.line, l.status, l.ordered_at,
    lag(l.status) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.filename, l.line
    ) AS status_before,
    lag(l.ordered_at) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.filename, l.line
    ) AS at_before,
    lead(l.status) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.filename, l.line
    ) AS status_after,
    lead(l.ordered_at) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.filename, l.line
    ) AS at_after
  FROM order_lines AS l
  JOIN cancelled AS c
    ON l.user_id = c.user_id
    AND l.item_id = c.item_id
    AND abs(l.quantity) = c.quantity
    AND l.price_key = c.price_key
  WHERE l.status IN ('sale', 'cancellation')
),
undone AS (
  SELECT filename, line
  FROM in_doubt
  WHERE (
      status = 'cancellation'
      AND status_before = 'sale'
      AND ordered_at <= at_before + INTERVAL '30' DAY
    )
    OR (
      status = 'sale'
      AND status_after = 'cancellation'
      AND at_after <= ordered_at + INTERVAL '30' DAY
    )
),
sold AS (
  SELECT l.item_id, l.order_date AS date, l.order_id, l.quantity, l.amount
  FROM order_lines AS l
  LEFT JOIN undone AS u ON l.filename = u.filename AND l.line = u.line
  WHERE u.line IS NULL
)
  SELECT
    item_id,
    date,
    round(sum(quantity), 4) AS quantity,
    round(sum(amount), 4) AS revenue,
    count(DISTINCT CASE WHEN quantity > 0 THEN order_id END) AS orders,
    round(sum(CASE WHEN quantity > 0 AND amount IS NOT NULL THEN quantity END), 4) AS priced_units,
    round(sum(CASE WHEN quantity > 0 THEN amount END), 4) AS gross
  FROM sold
  GROUP BY item_id, date

