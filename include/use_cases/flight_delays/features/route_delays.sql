-- Each route's flights of the last 7 and 28 days, as far as their outcome was known when the partition ended.
SELECT origin,
       dest,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (avg(arr_delay) FILTER (WHERE recent))::double precision AS mean_arr_delay_7d,
       avg(arr_delay)::double precision AS mean_arr_delay_28d,
       avg((arr_delay > 15)::int)::double precision AS late_share_28d,
       count(*)::double precision AS flights_28d,
       avg((dep_delay IS NULL)::int)::double precision AS cancelled_share_28d,
       max(distance)::double precision AS distance,
       avg(air_time)::double precision AS mean_air_time_28d
FROM (
    SELECT origin, dest, arr_delay, dep_delay, distance, air_time,
           known_at > %(end)s - interval '7 days' AS recent
    FROM warehouse.flight_delays__flights
    WHERE known_at > %(end)s - interval '28 days' AND known_at <= %(end)s
) AS known
GROUP BY origin, dest
