-- Question: How long do people think before they buy?
-- Reading: From a user's first view of a product to buying it. cumulative_share tells by when most have decided: after that
--   a reminder comes too late. The row "same session" is buying on sight.
SELECT bucket, label, conversions, round(share, 4) AS share, round(cumulative_share, 4) AS cumulative_share
FROM time_to_convert
WHERE as_of = (SELECT max(as_of) FROM time_to_convert) AND measure = 'product' AND level = 'total'
ORDER BY bucket
