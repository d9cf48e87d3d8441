-- Each aircraft's flights of the last 7 and 28 days, as far as their outcome was known when the partition ended.
SELECT tailnum,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (avg(arr_delay) FILTER (WHERE recent))::double precision AS mean_arr_delay_7d,
       avg(arr_delay)::double precision AS mean_arr_delay_28d,
       ((array_agg(arr_delay ORDER BY known_at DESC, event_timestamp DESC, flight DESC)
           FILTER (WHERE arr_delay IS NOT NULL))[1])::double precision AS last_arr_delay,
       count(*)::double precision AS flights_28d
FROM (
    SELECT tailnum, flight, arr_delay, event_timestamp, known_at,
           known_at > %(end)s - interval '7 days' AS recent
    FROM warehouse.flight_delays__flights
    WHERE known_at > %(end)s - interval '28 days' AND known_at <= %(end)s AND tailnum IS NOT NULL
) AS known
GROUP BY tailnum
