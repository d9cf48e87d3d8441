-- What the register says about each aircraft; it does not change.
SELECT tailnum,
       event_timestamp,
       known_at,
       year::double precision AS built_year,
       seats::double precision AS seats,
       engines::double precision AS engines,
       type,
       manufacturer
FROM warehouse.flight_delays__planes
