-- What each household's money went to in the last 8 weeks, as known when the partition ended.
SELECT household_id,
       %(end)s AS event_timestamp,
       %(end)s AS known_at,
       (sum(sales_value) FILTER (WHERE department = 'GROCERY') / total)::double precision AS grocery_share_8w,
       (sum(sales_value) FILTER (WHERE department = 'PRODUCE') / total)::double precision AS produce_share_8w,
       (sum(sales_value) FILTER (WHERE department IN ('MEAT', 'MEAT-PCKGD')) / total)::double precision AS meat_share_8w,
       (sum(sales_value) FILTER (WHERE department = 'DRUG GM') / total)::double precision AS drug_share_8w,
       (sum(sales_value) FILTER (WHERE department = 'FUEL') / total)::double precision AS fuel_share_8w,
       (sum(sales_value) FILTER (WHERE department IN ('DELI', 'PASTRY')) / total)::double precision AS deli_share_8w,
       (sum(sales_value) FILTER (WHERE brand = 'Private') / total)::double precision AS own_brand_share_8w,
       count(DISTINCT department)::double precision AS departments_8w
FROM (
    SELECT bought.household_id, bought.sales_value, products.department, products.brand,
           nullif(sum(bought.sales_value) OVER (PARTITION BY bought.household_id), 0) AS total
    FROM warehouse.household_spend__transactions AS bought
    LEFT JOIN warehouse.household_spend__products AS products USING (product_id)
    WHERE bought.known_at > %(end)s - interval '56 days' AND bought.known_at <= %(end)s
) AS bought
GROUP BY household_id, total
