-- What some households told about themselves; it does not change.
SELECT household_id, event_timestamp, known_at,
       age, income, home_ownership, marital_status, household_size, household_comp, kids_count
FROM warehouse.household_spend__demographics
