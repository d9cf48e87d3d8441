-- Departures of each airport per scheduled hour (local), of the last 7 and 28 days, as far as they were known.
SELECT origin,
       sched_hour,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (avg((arr_delay > 15)::int) FILTER (WHERE recent))::double precision AS late_share_7d,
       avg((arr_delay > 15)::int)::double precision AS late_share_28d,
       (avg(dep_delay) FILTER (WHERE recent))::double precision AS mean_dep_delay_7d,
       avg(dep_delay)::double precision AS mean_dep_delay_28d
FROM (
    SELECT origin, hour::bigint AS sched_hour, arr_delay, dep_delay,
           known_at > %(end)s - interval '7 days' AS recent
    FROM warehouse.flight_delays__flights
    WHERE known_at > %(end)s - interval '28 days' AND known_at <= %(end)s
) AS known
GROUP BY origin, sched_hour
