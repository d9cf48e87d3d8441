-- Hourly observations of the partition at each airport, usable from the moment when they are known.
SELECT DISTINCT ON (origin, known_at)
       origin,
       known_at AS event_timestamp,
       known_at,
       temp::double precision AS temp,
       dewp::double precision AS dewp,
       humid::double precision AS humid,
       wind_dir::double precision AS wind_dir,
       wind_speed::double precision AS wind_speed,
       wind_gust::double precision AS wind_gust,
       precip::double precision AS precip,
       pressure::double precision AS pressure,
       visib::double precision AS visib
FROM warehouse.flight_delays__weather
WHERE event_timestamp >= %(start)s AND event_timestamp < %(end)s
ORDER BY origin, known_at, event_timestamp DESC
