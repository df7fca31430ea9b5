-- Sales by day at three levels. Products come first, on a grid of every day of their life; categories and the total are
-- sums of that grid, so that the levels add up.
WITH order_lines AS (
  SELECT
    file_id, line, order_id, user_id, item_id, quantity, coalesce(unit_price, -1) AS price_key, amount, status,
    ordered_at, order_date
  FROM core_order_lines
  WHERE is_product AND order_date <= :as_of
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
    l.file_id, l.line, l.status, l.ordered_at,
    lag(l.status) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.file_id, l.line
    ) AS status_before,
    lag(l.ordered_at) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.file_id, l.line
    ) AS at_before,
    lead(l.status) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.file_id, l.line
    ) AS status_after,
    lead(l.ordered_at) OVER (
      PARTITION BY l.user_id, l.item_id, abs(l.quantity), l.price_key
      ORDER BY l.ordered_at, CASE WHEN l.status = 'sale' THEN 0 ELSE 1 END, l.file_id, l.line
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
  SELECT file_id, line
  FROM in_doubt
  WHERE (
      status = 'cancellation'
      AND status_before = 'sale'
      AND ordered_at <= at_before + INTERVAL '1' DAY * :cancellation_match_days
    )
    OR (
      status = 'sale'
      AND status_after = 'cancellation'
      AND at_after <= ordered_at + INTERVAL '1' DAY * :cancellation_match_days
    )
),
sold AS (
  SELECT l.item_id, l.order_date AS date, l.order_id, l.quantity, l.amount
  FROM order_lines AS l
  LEFT JOIN undone AS u ON l.file_id = u.file_id AND l.line = u.line
  WHERE u.line IS NULL
  UNION ALL
  -- Without an orders feed, sales are the purchases of the browse feed; an order is then a session, or a user's day.
  SELECT
    item_id,
    event_date,
    coalesce(
      session_id,
      CASE WHEN user_id IS NOT NULL THEN concat('user ', user_id) END,
      concat('file ', CAST(file_id AS VARCHAR(20)), ' line ', CAST(line AS VARCHAR(20)))
    ),
    CASE WHEN event = 'return' THEN -coalesce(quantity, 1) ELSE coalesce(quantity, 1) END,
    CASE WHEN event = 'return' THEN -coalesce(quantity, 1) ELSE coalesce(quantity, 1) END * price
  FROM core_events
  WHERE feed = 'browse'
    AND event IN ('purchase', 'return')
    AND item_id IS NOT NULL
    AND event_date <= :as_of
    AND NOT :orders_tell
),
item_sales AS (
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
),
shop AS (
  SELECT min(date) AS opens FROM item_sales
),
items AS (
  SELECT item_id, category, active_from, active_to FROM feat_items
),
products AS (
  SELECT
    s.item_id,
    i.category,
    greatest(o.opens, least(coalesce(i.active_from, s.first_sale), s.first_sale)) AS starts_on,
    greatest(least(coalesce(i.active_to, :as_of), :as_of), s.last_sale) AS ends_on,
    s.is_priced
  FROM (
    SELECT
      item_id,
      min(date) AS first_sale,
      max(date) AS last_sale,
      max(CASE WHEN revenue IS NOT NULL THEN 1 ELSE 0 END) AS is_priced
    FROM item_sales
    GROUP BY item_id
  ) AS s
  JOIN items AS i ON s.item_id = i.item_id
  CROSS JOIN shop AS o
),
-- Days on which a product was out of stock, from the dated states of the products feed.
stock_states AS (
  SELECT
    item_id, valid_from, stock,
    row_number() OVER (PARTITION BY item_id, valid_from ORDER BY file_id DESC, line DESC) AS newest
  FROM core_products
  WHERE valid_from <= :as_of
    AND item_id IN (SELECT item_id FROM core_products WHERE stock <= 0 AND valid_from <= :as_of)
),
stock_spans AS (
  SELECT
    item_id, stock, valid_from,
    lead(valid_from) OVER (PARTITION BY item_id ORDER BY valid_from) AS valid_until
  FROM stock_states
  WHERE newest = 1
),
sold_out AS (
  SELECT s.item_id, d.date
  FROM stock_spans AS s
  JOIN shop_calendar AS d ON d.date >= s.valid_from AND d.date < coalesce(s.valid_until, DATE '9999-12-31')
  WHERE s.stock <= 0 AND d.date <= :as_of
),
item_clicks AS (
  SELECT item_id, date, views, carts FROM feat_item_clicks WHERE views + carts > 0
),
grid AS (
  SELECT
    p.item_id,
    p.category,
    d.date,
    d.is_holiday,
    d.is_closed,
    CASE WHEN s.item_id IS NOT NULL THEN s.quantity WHEN o.item_id IS NULL THEN 0 END AS quantity,
    CASE WHEN s.item_id IS NOT NULL THEN s.revenue WHEN o.item_id IS NULL AND p.is_priced = 1 THEN 0 END AS revenue,
    coalesce(s.orders, 0) AS orders,
    s.gross,
    s.priced_units,
    CASE WHEN m.item_id IS NULL THEN 0 ELSE 1 END AS promoted,
    m.depth
  FROM products AS p
  JOIN shop_calendar AS d ON d.date >= p.starts_on AND d.date <= p.ends_on
  LEFT JOIN item_sales AS s ON p.item_id = s.item_id AND d.date = s.date
  LEFT JOIN sold_out AS o ON p.item_id = o.item_id AND d.date = o.date
  LEFT JOIN feat_promotion_days AS m ON p.item_id = m.item_id AND d.date = m.date
),
-- The groups above the products: each row of a product counts for its category, if the shop has any, and for the total.
groups AS (
  SELECT 'category' AS level, category AS series_id, min(starts_on) AS starts_on, max(is_priced) AS is_priced
  FROM products
  WHERE category IS NOT NULL
  GROUP BY category
  UNION ALL
  SELECT 'total', 'total', min(starts_on), max(is_priced) FROM products HAVING count(*) > 0
),
-- Depths are averaged as whole millionths, whose sums are the same in any order.
group_grid AS (
  SELECT
    'category' AS level, category AS series_id, date, sum(quantity) AS quantity, sum(revenue) AS revenue,
    sum(gross) AS gross, sum(priced_units) AS priced_units, max(promoted) AS promoted,
    avg(CAST(promoted AS DOUBLE)) AS promotion_share,
    avg(CASE WHEN promoted = 1 THEN round(depth * 1000000) END) AS millionths
  FROM grid
  WHERE category IS NOT NULL
  GROUP BY category, date
  UNION ALL
  SELECT
    'total', 'total', date, sum(quantity), sum(revenue), sum(gross), sum(priced_units), max(promoted),
    avg(CAST(promoted AS DOUBLE)), avg(CASE WHEN promoted = 1 THEN round(depth * 1000000) END)
  FROM grid
  GROUP BY date
),
group_orders AS (
  SELECT 'category' AS level, i.category AS series_id, s.date, count(DISTINCT s.order_id) AS orders
  FROM sold AS s
  JOIN items AS i ON s.item_id = i.item_id
  WHERE s.quantity > 0 AND i.category IS NOT NULL
  GROUP BY i.category, s.date
  UNION ALL
  SELECT 'total', 'total', date, count(DISTINCT order_id) FROM sold WHERE quantity > 0 GROUP BY date
),
group_clicks AS (
  SELECT 'category' AS level, i.category AS series_id, c.date, sum(c.views) AS views, sum(c.carts) AS carts
  FROM item_clicks AS c
  JOIN items AS i ON c.item_id = i.item_id
  WHERE i.category IS NOT NULL
  GROUP BY i.category, c.date
  UNION ALL
  SELECT 'total', 'total', date, sum(views), sum(carts) FROM item_clicks GROUP BY date
)
SELECT
  'product' AS level,
  g.item_id AS series_id,
  g.date,
  g.quantity,
  g.revenue,
  g.orders,
  g.gross / nullif(g.priced_units, 0) AS average_price,
  CAST(coalesce(c.views, 0) AS BIGINT) AS views,
  CAST(coalesce(c.carts, 0) AS BIGINT) AS carts,
  g.promoted = 1 AS on_promotion,
  CAST(g.promoted AS DOUBLE) AS promotion_share,
  coalesce(g.depth, 0) AS promotion_depth,
  g.is_holiday,
  g.is_closed
FROM grid AS g
LEFT JOIN item_clicks AS c ON g.item_id = c.item_id AND g.date = c.date
UNION ALL
SELECT
  s.level,
  s.series_id,
  d.date,
  -- No row: none of its products is on sale on that day. A null: all that are, are out of stock.
  CASE WHEN g.date IS NULL THEN 0 ELSE round(g.quantity, 4) END,
  CASE WHEN g.date IS NULL AND s.is_priced = 1 THEN 0 ELSE round(g.revenue, 4) END,
  coalesce(o.orders, 0),
  round(g.gross, 4) / nullif(round(g.priced_units, 4), 0),
  CAST(coalesce(c.views, 0) AS BIGINT),
  CAST(coalesce(c.carts, 0) AS BIGINT),
  coalesce(g.promoted, 0) = 1,
  coalesce(round(g.promotion_share, 6), 0),
  coalesce(round(g.millionths) / 1000000, 0),
  d.is_holiday,
  d.is_closed
FROM groups AS s
JOIN shop_calendar AS d ON d.date >= s.starts_on AND d.date <= :as_of
LEFT JOIN group_grid AS g ON s.level = g.level AND s.series_id = g.series_id AND d.date = g.date
LEFT JOIN group_orders AS o ON s.level = o.level AND s.series_id = o.series_id AND d.date = o.date
LEFT JOIN group_clicks AS c ON s.level = c.level AND s.series_id = c.series_id AND d.date = c.date
