-- title: When a connection began to cover its line
-- description: With its first frame; with its handshake where the first frame took longer than a service takes to
--   grant what is asked (5 s), for then nothing was sent in between. For a connection that brought a frame.
-- param opened_ns BIGINT = NULL  -- its handshake, ns since epoch
-- param first_frame_ns BIGINT = NULL  -- its first frame, ns since epoch
-- example: SELECT covers_from(0, 400000000)
CASE WHEN $first_frame_ns - $opened_ns > 5000000000 THEN $opened_ns ELSE greatest($opened_ns, $first_frame_ns) END
