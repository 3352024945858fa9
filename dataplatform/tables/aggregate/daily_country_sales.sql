-- What each day brought in from each country: orders, lines, units, and money before and after cancellations.
WITH by_location AS (
    SELECT
        business_date,
        location_key,
        count(DISTINCT CASE WHEN line_type = 'sale' THEN invoice_no END) AS order_count,
        count(*) AS line_count,
        sum(quantity) AS unit_count,
        sum(CASE WHEN line_type = 'cancellation' THEN 0 ELSE net_amount END) AS gross_amount,
        sum(CASE WHEN line_type = 'cancellation' THEN -net_amount ELSE 0 END) AS cancelled_amount,
        sum(net_amount) AS net_amount,
        count(DISTINCT customer_id) AS customer_count
    FROM fact_sales
    GROUP BY business_date, location_key
)

SELECT
    by_location.business_date,
    by_location.location_key,
    dim_location.country,
    dim_location.country_name,
    by_location.order_count,
    by_location.line_count,
    by_location.unit_count,
    by_location.gross_amount,
    by_location.cancelled_amount,
    by_location.net_amount,
    by_location.customer_count
FROM by_location
LEFT JOIN dim_location ON by_location.location_key = dim_location.location_key
