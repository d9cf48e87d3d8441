-- Each aircraft's flights of the last 7 and 28 days, as far as their outcome was known when the partition ended.
SELECT tailnum,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (avg(arr_delay) FILTER (WHERE recent))::double precision AS mean_arr_delay_7d,
       avg(arr_delay)::double precision AS mean_arr_delay_28d,
       -- The greatest array is the newest flight's: no sort is needed for its last element.
       ((max(ARRAY[extract(epoch FROM known_at)::bigint, extract(epoch FROM event_timestamp)::bigint, flight, arr_delay])
           FILTER (WHERE arr_delay IS NOT NULL))[4])::double precision AS last_arr_delay,
       count(*)::double precision AS flights_28d
FROM (
    SELECT tailnum, flight, arr_delay, event_timestamp, known_at,
           known_at > %(end)s - interval '7 days' AS recent
    FROM warehouse.flight_delays__flights
    WHERE known_at > %(end)s - interval '28 days' AND known_at <= %(end)s AND tailnum IS NOT NULL
) AS known
GROUP BY tailnum
