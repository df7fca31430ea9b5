-- A small shop in the published tables, in which every question of sql/analyses/ has an answer; its last day is 2025-06-30.

INSERT INTO items
SELECT
  'i' || i, 'Item ' || i, 'group ' || i % 3, 'group ' || i % 3, 'brand', 5 + i, CASE WHEN i = 1 THEN 1 ELSE 500 END,
  DATE '2025-01-01', NULL, DATE '2025-01-01', DATE '2025-06-30', CASE WHEN i = 9 THEN DATE '2025-05-20' ELSE DATE '2025-06-30' END
FROM range(10) AS t(i);

INSERT INTO sales_daily
WITH days AS (SELECT CAST(d AS DATE) AS date FROM range(DATE '2024-07-01', DATE '2025-07-01', INTERVAL 1 DAY) AS t(d)),
products AS (
  SELECT
    i, date, CASE WHEN i = 9 AND date > DATE '2025-06-02' THEN 0 WHEN day(date) <= 5 THEN 8 ELSE 4 END AS quantity,
    day(date) <= 5 AS promoted
  FROM range(10) AS t(i) CROSS JOIN days
)
SELECT 'product', 'i' || i, date, quantity, quantity * (5 + i), 1, 5 + i, 40, 2, promoted, 0, CASE WHEN promoted THEN 0.15 ELSE 0 END,
  date = DATE '2025-05-01', false FROM products
UNION ALL
SELECT 'category', 'group ' || i % 3, date, sum(quantity), sum(quantity * (5 + i)), 1, 1, 100, 5, any_value(promoted), 0, 0,
  date = DATE '2025-05-01', false FROM products GROUP BY i % 3, date
UNION ALL
SELECT 'total', 'total', date, sum(quantity), sum(quantity * (5 + i)), 1, 1, 300, 15, any_value(promoted), 0, 0,
  date = DATE '2025-05-01', false FROM products GROUP BY date;

INSERT INTO sales_forecasts
SELECT
  DATE '2025-06-30', s.level, s.series_id, m.measure, DATE '2025-06-30' + CAST(h AS INTEGER), h, 4, 1, 2, 3, 4, 5, 6, 7, 4, 'lstm', '1', false
FROM (SELECT DISTINCT level, series_id FROM sales_daily WHERE series_id <> 'i9') AS s
CROSS JOIN (VALUES ('quantity'), ('revenue')) AS m(measure)
CROSS JOIN range(1, 29) AS t(h);

INSERT INTO sales_forecast_accuracy
SELECT
  DATE '2025-06-30' - CAST(h AS INTEGER), s.level, s.series_id, m.measure, DATE '2025-06-30', h, 9, 4, 4, 2, 6, 3, 5, 6,
  false, 'lstm', '1'
FROM (SELECT DISTINCT level, series_id FROM sales_daily) AS s
CROSS JOIN (VALUES ('quantity'), ('revenue')) AS m(measure)
CROSS JOIN range(1, 29) AS t(h);

INSERT INTO model_versions VALUES ('next_item', '1', DATE '2025-06-29', 'f', 'promoted', 'the first', 0, '0.1.0');
INSERT INTO model_metrics VALUES (DATE '2025-06-30', 'next_item', '1', true, 'test days', 'hr_10', 0.2, 0.1, 100);

INSERT INTO user_events
SELECT
  'u' || u, 5 * visit + k, 'i' || (u + k) % 10, CASE k WHEN 3 THEN 'cart' WHEN 4 THEN 'purchase' WHEN 5 THEN 'return' ELSE 'view' END,
  TIMESTAMP '2025-06-01' + INTERVAL 1 DAY * (7 * visit + u % 2), DATE '2025-06-01' + 7 * CAST(visit AS INTEGER) + CAST(u % 2 AS INTEGER),
  visit + 1, 1, 5, 'web'
FROM range(60) AS a(u) CROSS JOIN range(5) AS b(visit) CROSS JOIN range(1, 6) AS c(k);

INSERT INTO sessions
SELECT
  user_id, session_number, min(event_ts), max(event_ts), min(event_date), 0, count(*), count(DISTINCT item_id), 1, 1, 1,
  session_number % 2 = 0, 5, min(item_id), max(item_id), 'web'
FROM user_events GROUP BY user_id, session_number;

INSERT INTO user_rfm
SELECT
  'u' || u, DATE '2025-06-01', DATE '2025-06-29', 1, 5, 5, 10 * u, 3, 3, 3,
  CASE u % 3 WHEN 0 THEN 'champions' WHEN 1 THEN 'at risk' ELSE 'loyal' END
FROM range(30) AS t(u);

INSERT INTO rfm_segment_sizes
SELECT CAST(d AS DATE), segment, 10, 0.33, 100, 0.33, 1, 5
FROM (VALUES ('champions'), ('at risk'), ('loyal')) AS s(segment)
CROSS JOIN range(DATE '2025-06-01', DATE '2025-07-01', INTERVAL 1 DAY) AS t(d);

INSERT INTO recommendations
SELECT DATE '2025-06-30', 'u' || u, r, 'i' || (u + r) % 10, 1.0 / r, 'network', 'because', 'i1', false, false, '1'
FROM range(30) AS a(u) CROSS JOIN range(1, 6) AS b(r);

INSERT INTO purchase_predictions
SELECT as_of, user_id, item_id, 0.1 / rank, 7, '1' FROM recommendations;

INSERT INTO user_segments
SELECT DATE '2025-06-30', 'u' || u, 1 + u % 2, '1' FROM range(30) AS t(u);
INSERT INTO segments VALUES
  (
    DATE '2025-06-30', 1, 15, 0.5, 'buys often (bought on 3.0 days, others 1.0); mostly group 1 (60% of the events, others 20%)',
    'Item 3; Item 5', 20, 3, 15, 0.9, 90, '1'
  ),
  (DATE '2025-06-30', 2, 15, 0.5, 'comes at weekends (80% of the events, others 20%)', 'Item 1', 10, 1, NULL, 0.8, 90, '1');
INSERT INTO segment_items
SELECT DATE '2025-06-30', 1 + s, r, 'i' || (2 * r + s), 10 - r, (10 - r) / 15.0, 2.5 - 0.5 * r, '1'
FROM range(2) AS a(s) CROSS JOIN range(1, 3) AS b(r);
INSERT INTO next_steps
SELECT
  DATE '2025-06-30', 'u' || u, 'view', 1 - p - 0.05, p - 0.1, 0.05, 0.05, 0.05, CASE WHEN p < 0.5 THEN 'nothing' ELSE 'view' END,
  p / 2, 7, false, u = 0, '1'
FROM (SELECT u, 0.1 + 0.02 * u AS p FROM range(30) AS t(u));
INSERT INTO next_steps
SELECT
  DATE '2025-06-20', 'u' || u, 'view', 0.6, 0.1, 0.1, 0.1, 0.1, 'nothing', CASE WHEN u < 60 AND u % 2 = 0 THEN 0.6 ELSE 0.2 END, 7, false,
  false, '1'
FROM range(61) AS t(u);
INSERT INTO next_step_reliability
SELECT DATE '2025-06-30', o, b, 0.08 * b, 0.07 * b, 40, '1'
FROM (VALUES ('buys'), ('nothing'), ('view')) AS a(o) CROSS JOIN range(1, 11) AS t(b);
INSERT INTO model_metrics
SELECT DATE '2025-06-30', 'next_item', '1', true, d, m, 0.2, 0.3, 400
FROM (VALUES ('next step within 7 days'), ('user buys within 7 days')) AS a(d)
CROSS JOIN (VALUES ('log_loss'), ('brier'), ('brier_skill'), ('ece')) AS b(m);

INSERT INTO similar_items
SELECT DATE '2025-06-30', 'i' || i, r, 'i' || (i + r) % 10, 1.0 / r, '1' FROM range(10) AS a(i) CROSS JOIN range(1, 4) AS b(r);

INSERT INTO funnel_daily
SELECT CAST(d AS DATE), s.level, s.series_id, 'web', t.user_type, 10, 9, 4, 2, 3, 2, 9, 8, 4, 2, 3, 2, 7, d < DATE '2025-06-24'
FROM range(DATE '2025-05-01', DATE '2025-07-01', INTERVAL 1 DAY) AS x(d)
CROSS JOIN (VALUES ('total', 'total'), ('category', 'group 1')) AS s(level, series_id)
CROSS JOIN (VALUES ('new'), ('returning')) AS t(user_type);

INSERT INTO path_sequences VALUES
  (DATE '2025-06-30', 'event', 'purchase', 1, 'view > purchase', 2, 10, 9, 0.5, 90),
  (DATE '2025-06-30', 'event', 'leave', 1, 'view', 1, 100, 80, 0.7, 90);
INSERT INTO path_transitions VALUES
  (DATE '2025-06-30', 'category', 'group 1', 'group 2', 20, 0.1, 1.5, 90),
  (DATE '2025-06-30', 'category', 'group 1', 'group 0', 60, 0.3, 1.5, 90),
  (DATE '2025-06-30', 'category', 'group 0', 'group 2', 20, 0.1, 1.5, 90),
  (DATE '2025-06-30', 'category', 'group 0', 'group 0', 900, 0.9, 1.5, 90),
  (DATE '2025-06-30', 'category', 'group 0', '(end)', 50, 0.1, 1.5, 90);
INSERT INTO time_to_convert VALUES
  (DATE '2025-06-30', 'product', 'total', 'total', 1, 'same session', 0, NULL, 10, 1, 1, 90);
INSERT INTO cohort_retention VALUES
  ('purchase', 'month', DATE '2025-05-01', 0, DATE '2025-05-01', 30, 30, 1, 100, true),
  ('purchase', 'month', DATE '2025-05-01', 1, DATE '2025-06-01', 30, 15, 0.5, 50, true);
INSERT INTO quarantine_summary VALUES ('orders', 'orders/1.csv', 'no_price', 'no price', 3, 7, 'a,b,c');
INSERT INTO validation_results VALUES
  (DATE '2025-06-30', 'r', 'core_events', 'contract', 'x is never null', 'e', 'warn', false, '1', 9, 1, '[]', 'Mend x.');
INSERT INTO runs VALUES ('r', DATE '2025-06-30', 'publish', 'succeeded', TIMESTAMP '2025-07-01', 2, 10, 300, '0.1.0');
