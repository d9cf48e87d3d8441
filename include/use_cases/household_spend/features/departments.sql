-- What each household's money went to in the last 8 weeks, as known when the partition ended.
SELECT household_id,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (sum(spend) FILTER (WHERE department = 'GROCERY') / nullif(sum(spend), 0))::double precision AS grocery_share_8w,
       (sum(spend) FILTER (WHERE department = 'PRODUCE') / nullif(sum(spend), 0))::double precision AS produce_share_8w,
       (sum(spend) FILTER (WHERE department IN ('MEAT', 'MEAT-PCKGD')) / nullif(sum(spend), 0))::double precision
           AS meat_share_8w,
       (sum(spend) FILTER (WHERE department = 'DRUG GM') / nullif(sum(spend), 0))::double precision AS drug_share_8w,
       (sum(spend) FILTER (WHERE department = 'FUEL') / nullif(sum(spend), 0))::double precision AS fuel_share_8w,
       (sum(spend) FILTER (WHERE department IN ('DELI', 'PASTRY')) / nullif(sum(spend), 0))::double precision
           AS deli_share_8w,
       (sum(spend) FILTER (WHERE brand = 'Private') / nullif(sum(spend), 0))::double precision AS own_brand_share_8w,
       count(DISTINCT department)::double precision AS departments_8w
FROM (
    -- Few rows per household are left before anything is sorted.
    SELECT bought.household_id, products.department, products.brand, sum(bought.sales_value) AS spend
    FROM warehouse.household_spend__transactions AS bought
    LEFT JOIN warehouse.household_spend__products AS products USING (product_id)
    WHERE bought.known_at > %(end)s - interval '56 days' AND bought.known_at <= %(end)s
    GROUP BY bought.household_id, products.department, products.brand
) AS bought
GROUP BY household_id
