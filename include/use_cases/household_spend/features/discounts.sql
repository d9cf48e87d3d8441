-- How much of each household's prices was taken off in the last 8 weeks, as known when the partition ended.
SELECT household_id,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (sum(retail_disc) / nullif(sum(sales_value + retail_disc), 0))::double precision AS card_share_8w,
       (sum(coupon_disc + coupon_match_disc) / nullif(sum(sales_value + retail_disc), 0))::double precision
           AS coupon_share_8w,
       avg((retail_disc > 0)::int)::double precision AS discounted_lines_8w
FROM warehouse.household_spend__transactions
WHERE known_at > %(end)s - interval '56 days' AND known_at <= %(end)s
GROUP BY household_id
