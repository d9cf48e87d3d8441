-- What each household spent in the last 12 weeks, as known when the partition ended; a week without a visit counts as 0.
WITH visits AS (
    SELECT household_id, basket_id, max(known_at) AS known_at, sum(sales_value) AS spend,
           floor(extract(epoch FROM %(end)s - max(known_at)) / 604800)::int AS weeks_ago
    FROM warehouse.household_spend__transactions
    WHERE known_at > %(end)s - interval '84 days' AND known_at <= %(end)s
    GROUP BY household_id, basket_id
), households AS (
    SELECT household_id,
           count(*) FILTER (WHERE weeks_ago < 1)::double precision AS trips_1w,
           count(*) FILTER (WHERE weeks_ago < 4)::double precision AS trips_4w,
           count(*)::double precision AS trips_12w,
           avg(spend)::double precision AS mean_basket_12w,
           max(spend)::double precision AS largest_basket_12w,
           (extract(epoch FROM %(end)s - max(known_at)) / 86400)::double precision AS days_since_visit,
           (extract(epoch FROM %(end)s - min(known_at)) / 86400)::double precision AS days_known_12w
    FROM visits
    GROUP BY household_id
), weeks AS (
    SELECT households.household_id, week.weeks_ago, coalesce(sum(visits.spend), 0) AS spend
    FROM households
    CROSS JOIN generate_series(0, 11) AS week (weeks_ago)
    LEFT JOIN visits ON visits.household_id = households.household_id AND visits.weeks_ago = week.weeks_ago
    GROUP BY households.household_id, week.weeks_ago
), spent AS (
    SELECT household_id,
           sum(spend) FILTER (WHERE weeks_ago < 1)::double precision AS spend_1w,
           sum(spend) FILTER (WHERE weeks_ago = 1)::double precision AS spend_week_before,
           sum(spend) FILTER (WHERE weeks_ago < 4)::double precision AS spend_4w,
           sum(spend)::double precision AS spend_12w,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY spend)::double precision AS median_week_12w,
           stddev_samp(spend)::double precision AS spread_of_weeks_12w,
           count(*) FILTER (WHERE spend > 0)::double precision AS weeks_with_visits_12w
    FROM weeks
    GROUP BY household_id
)
SELECT household_id, %(end)s AS event_timestamp, %(end)s AS known_at,
       spend_1w, spend_week_before, spend_4w, spend_12w, median_week_12w, spread_of_weeks_12w, weeks_with_visits_12w,
       trips_1w, trips_4w, trips_12w, mean_basket_12w, largest_basket_12w, days_since_visit, days_known_12w
FROM households
JOIN spent USING (household_id)
