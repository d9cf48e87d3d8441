-- Every flight that arrived, asked at its scheduled departure; the outcome is known from known_at on.
SELECT carrier, flight, tailnum, origin, dest,
       event_timestamp AS scheduled_departure,
       event_timestamp,
       known_at,
       arr_delay
FROM warehouse.flight_delays__flights
WHERE event_timestamp >= %(start)s
  AND event_timestamp < %(end)s
  AND known_at <= %(as_of)s
  AND arr_delay IS NOT NULL
