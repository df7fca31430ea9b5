-- Question: How long do people think before they buy?
-- Reading: From a user's first view of a product to that user's first purchase of it. "same session" is buying on sight.
--   cumulative_share tells how many had decided by then: where it rises fast, a reminder comes in time; where it hardly rises any
--   more, that visit is forgotten, and what is bought months later is a new wish.
SELECT bucket, label, conversions, round(share, 4) AS share, round(cumulative_share, 4) AS cumulative_share
FROM time_to_convert
WHERE as_of = (SELECT max(as_of) FROM time_to_convert) AND measure = 'product' AND level = 'total'
ORDER BY bucket
