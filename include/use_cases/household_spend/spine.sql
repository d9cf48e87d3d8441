-- Every household that bought in the eight weeks before, asked when the week begins; known when the week has ended.
-- A week of which nothing is published has no outcome: that is not a week in which nobody bought.
WITH weekly AS (
    SELECT household_id, date_trunc('week', event_timestamp) AS week_start, sum(sales_value) AS spend
    FROM warehouse.household_spend__transactions
    WHERE event_timestamp >= %(start)s::timestamptz - interval '8 weeks'
      AND event_timestamp < %(end)s
      AND known_at <= %(as_of)s
    GROUP BY household_id, week_start
), weeks AS (
    SELECT DISTINCT week_start
    FROM weekly
    WHERE week_start >= %(start)s AND week_start + interval '7 days' <= %(as_of)s
)
SELECT asked.household_id,
       asked.week_start,
       asked.week_start AS event_timestamp,
       asked.week_start + interval '7 days' AS known_at,
       coalesce(weekly.spend, 0) AS spend
FROM (
    SELECT DISTINCT past.household_id, weeks.week_start
    FROM weeks
    JOIN weekly AS past
      ON past.week_start < weeks.week_start AND past.week_start >= weeks.week_start - interval '8 weeks'
) AS asked
LEFT JOIN weekly USING (household_id, week_start)
