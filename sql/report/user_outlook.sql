-- The segment and the next step of the users on the page.
SELECT c.user_id, s.segment AS state_segment, n.likeliest, n.p_buys, n.window_days
FROM chosen_users AS c
LEFT JOIN user_segments AS s ON s.as_of = CAST(:as_of AS DATE) AND s.user_id = c.user_id
LEFT JOIN next_steps AS n ON n.as_of = CAST(:as_of AS DATE) AND n.user_id = c.user_id
ORDER BY c.user_id
