"""The same tables as plain DuckDB SQL in one process into one DuckDB file: what the platform is measured against.

Usage: python bench/plain.py LANDING DATABASE FIRST_DAY LAST_DAY MEMORY_LIMIT. A later call adds its days; tables that
the platform recomputes whole are recomputed whole here too. Twelve checks, no history, no recovery, no lineage.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

MACRO = """CREATE OR REPLACE TEMP MACRO to_utc(t, z) AS
    least(timezone(z, t), timezone(z, t - INTERVAL 1 HOUR) + INTERVAL 1 HOUR)"""
TABLES = {
    "raw": """CREATE TABLE IF NOT EXISTS raw (invoice TEXT, stock_code TEXT, description TEXT, quantity TEXT,
        invoice_date TEXT, price TEXT, customer_id TEXT, country TEXT, file_name TEXT, line_number INT, business_date DATE)""",
    "sales_lines": """CREATE TABLE IF NOT EXISTS sales_lines (invoice_no TEXT, stock_code TEXT, description TEXT, quantity INT,
        sold_at TIMESTAMPTZ, unit_price DECIMAL(18,3), customer_id BIGINT, country TEXT, line_type TEXT, charge_type TEXT,
        line_number INT, business_date DATE)""",
    "fact_sales": """CREATE TABLE IF NOT EXISTS fact_sales (sale_key BIGINT, date_key INT, customer_key BIGINT, customer_id BIGINT,
        product_key BIGINT, stock_code TEXT, location_key BIGINT, invoice_no TEXT, line_number INT, line_type TEXT,
        charge_type TEXT, sold_at TIMESTAMPTZ, quantity INT, unit_price DECIMAL(18,3), total_amount DECIMAL(18,3),
        discount_amount DECIMAL(18,3), net_amount DECIMAL(18,3), business_date DATE)""",
    "daily_sales": """CREATE TABLE IF NOT EXISTS daily_sales (business_date DATE, order_count BIGINT, line_count BIGINT,
        unit_count BIGINT, gross_amount DECIMAL(18,3), cancelled_amount DECIMAL(18,3), net_amount DECIMAL(18,3),
        average_order_amount DECIMAL(18,3), customer_count BIGINT)""",
    "daily_country_sales": """CREATE TABLE IF NOT EXISTS daily_country_sales (business_date DATE, location_key BIGINT,
        order_count BIGINT, line_count BIGINT, net_amount DECIMAL(18,3))""",
    "monthly_product_sales": """CREATE TABLE IF NOT EXISTS monthly_product_sales (month_start_date DATE, stock_code TEXT,
        line_count BIGINT, unit_count BIGINT, net_amount DECIMAL(18,3))""",
}
DAY = "business_date BETWEEN $first AND $last"
KEY = "('0x' || left(sha256({0}), 15))::BIGINT"
LOADS = {
    "raw": """INSERT INTO raw SELECT Invoice, StockCode, Description, Quantity, InvoiceDate, Price, CustomerID, Country,
        parse_filename(filename), row_number() OVER (PARTITION BY filename), left(parse_filename(filename), 10)::DATE
        FROM read_csv($files, all_varchar = true, header = true, delim = ',', quote = '"', escape = '"', filename = true)""",
    "sales_lines": f"""INSERT INTO sales_lines SELECT invoice, upper(trim(stock_code)),
        nullif(trim(regexp_replace(description, '\\s+', ' ', 'g')), ''), try_cast(quantity AS INT),
        to_utc(strptime(invoice_date, '%Y-%m-%d %H:%M:%S'), 'Europe/London'), try_cast(price AS DECIMAL(18,3)),
        try_cast(customer_id AS BIGINT), country,
        CASE WHEN invoice LIKE 'C%' THEN 'cancellation' WHEN invoice LIKE 'A%' THEN 'adjustment'
             WHEN price::DECIMAL(18,3) = 0 OR quantity::INT < 0 THEN 'stock_movement' ELSE 'sale' END,
        CASE upper(trim(stock_code)) WHEN 'POST' THEN 'postage' WHEN 'DOT' THEN 'postage' WHEN 'D' THEN 'discount'
             WHEN 'M' THEN 'manual' ELSE 'product' END, line_number, business_date
        FROM raw WHERE {DAY} AND NOT (trim(coalesce(description, '')) = '' AND price::DECIMAL(18,3) = 0)
        AND regexp_matches(price, '^-?\\d+(\\.\\d{{1,3}})?$') AND regexp_matches(quantity, '^-?\\d+$')""",
    "dim_location": f"""CREATE OR REPLACE TABLE dim_location AS
        SELECT {KEY.format("country")} AS location_key, country FROM (SELECT DISTINCT country FROM sales_lines)""",
    "dim_product": f"""CREATE OR REPLACE TABLE dim_product AS SELECT {KEY.format("stock_code")} AS product_key, stock_code,
        arg_max(description, (unit_price > 0, sold_at, line_number)) AS description, min(business_date) AS first_sold_on
        FROM sales_lines GROUP BY stock_code""",
    "dim_customer": f"""CREATE OR REPLACE TABLE dim_customer AS
        WITH days AS (SELECT customer_id, business_date, arg_max(country, (sold_at, line_number)) AS country
                      FROM sales_lines WHERE customer_id IS NOT NULL GROUP BY ALL),
        changes AS (SELECT *, lag(country) OVER w AS before, row_number() OVER w AS n FROM days
                    WINDOW w AS (PARTITION BY customer_id ORDER BY business_date)),
        versions AS (SELECT customer_id, country,
                     CASE WHEN n = 1 THEN DATE '1900-01-01' ELSE business_date END AS valid_from
                     FROM changes WHERE n = 1 OR country IS DISTINCT FROM before)
        SELECT {KEY.format("customer_id::TEXT || valid_from::TEXT")} AS customer_key, *,
        lead(valid_from, 1, DATE '9999-12-31') OVER (PARTITION BY customer_id ORDER BY valid_from) AS valid_to FROM versions""",
    "dim_date": """CREATE OR REPLACE TABLE dim_date AS SELECT strftime(d, '%Y%m%d')::INT AS date_key, d::DATE AS date,
        isodow(d) AS weekday, weekofyear(d) AS iso_week FROM range(DATE '2009-01-01', DATE '2031-01-01', INTERVAL 1 DAY) t(d)""",
    "fact_sales": f"""INSERT INTO fact_sales SELECT dk::BIGINT * 100000000 + line_number, dk, coalesce(customer_key, 0),
        s.customer_id, product_key, s.stock_code, location_key, invoice_no, line_number, line_type, charge_type, sold_at,
        quantity, unit_price, CASE charge_type WHEN 'discount' THEN 0 ELSE quantity * unit_price END,
        CASE charge_type WHEN 'discount' THEN -quantity * unit_price ELSE 0 END, quantity * unit_price, business_date
        FROM (SELECT *, strftime(business_date, '%Y%m%d')::INT AS dk FROM sales_lines WHERE {DAY}) s
        LEFT JOIN dim_product p USING (stock_code) LEFT JOIN dim_location l USING (country)
        LEFT JOIN dim_customer c ON c.customer_id = s.customer_id AND business_date >= valid_from AND business_date < valid_to""",
    "daily_sales": f"""INSERT INTO daily_sales SELECT business_date,
        count(DISTINCT invoice_no) FILTER (line_type = 'sale') AS orders, count(*), sum(quantity),
        sum(net_amount) FILTER (line_type <> 'cancellation') AS gross,
        -sum(net_amount) FILTER (line_type = 'cancellation'), sum(net_amount), gross / nullif(orders, 0),
        count(DISTINCT customer_id) FROM fact_sales WHERE {DAY} GROUP BY business_date""",
    "daily_country_sales": f"""INSERT INTO daily_country_sales SELECT business_date, location_key,
        count(DISTINCT invoice_no) FILTER (line_type = 'sale'), count(*), sum(net_amount)
        FROM fact_sales WHERE {DAY} GROUP BY ALL""",
    "monthly_product_sales": """INSERT INTO monthly_product_sales SELECT date_trunc('month', business_date), stock_code,
        count(*), sum(quantity), sum(net_amount) FROM fact_sales
        WHERE business_date >= date_trunc('month', $first::DATE)
        AND business_date < date_trunc('month', $last::DATE) + INTERVAL 1 MONTH GROUP BY ALL""",
    "customer_metrics": """CREATE OR REPLACE TABLE customer_metrics AS WITH m AS (SELECT customer_id,
        count(DISTINCT invoice_no) FILTER (line_type = 'sale') AS order_count, sum(net_amount) AS lifetime_amount,
        min(business_date) AS first_order_date, max(business_date) AS last_order_date
        FROM fact_sales WHERE customer_id IS NOT NULL GROUP BY customer_id)
        SELECT *, ntile(5) OVER (ORDER BY last_order_date, customer_id) AS recency_score,
        ntile(5) OVER (ORDER BY order_count, customer_id) AS frequency_score,
        ntile(5) OVER (ORDER BY lifetime_amount, customer_id) AS monetary_score FROM m""",
    "monthly_customer_cohorts": """CREATE OR REPLACE TABLE monthly_customer_cohorts AS
        WITH months AS (SELECT DISTINCT customer_id, date_trunc('month', business_date) AS month FROM fact_sales
                        WHERE customer_id IS NOT NULL),
        cohorts AS (SELECT *, min(month) OVER (PARTITION BY customer_id) AS cohort FROM months)
        SELECT cohort, date_diff('month', cohort, month) AS months_since, count(*) AS active FROM cohorts GROUP BY ALL""",
}
KINDS = "count_if(line_type NOT IN ('sale', 'cancellation', 'adjustment', 'stock_movement'))"
CHECKS = {
    "raw": ["count_if(invoice IS NULL)", "count(*) - count(DISTINCT (business_date, line_number))"],
    "sales_lines": ["count_if(quantity IS NULL)", "count_if(sold_at IS NULL)", KINDS],
    "fact_sales": ["count(*) - count(DISTINCT sale_key)", "count_if(product_key IS NULL)", "count_if(location_key IS NULL)",
                   "count_if(net_amount <> total_amount - discount_amount)"],
    "daily_sales": ["count_if(net_amount <> gross_amount - coalesce(cancelled_amount, 0))", "count(*) - count(DISTINCT business_date)"],
    "customer_metrics": ["count(*) - count(DISTINCT customer_id)"],
}  # fmt: skip


def main(landing: Path, database: Path, first: str, last: str, memory: str) -> None:
    """Loads the days [first, last] and everything that follows from them."""
    files = [str(path) for path in sorted(landing.glob("*.csv.gz")) if first <= path.name[:10] <= last]
    connection = duckdb.connect(str(database))
    for statement in (f"SET memory_limit = '{memory}'", "SET TimeZone = 'UTC'", MACRO, *TABLES.values()):
        connection.execute(statement)
    for table, load in LOADS.items():
        column = "month_start_date" if table == "monthly_product_sales" else "business_date"
        if table in TABLES:
            start = f"date_trunc('month', DATE '{first}')" if column == "month_start_date" else f"DATE '{first}'"
            connection.execute(f"DELETE FROM {table} WHERE {column} BETWEEN {start} AND DATE '{last}'")
        values = {"first": first, "last": last, "files": files}
        wanted = {name: value for name, value in values.items() if f"${name}" in load}
        connection.execute(load, wanted or None)
        days = f" WHERE business_date BETWEEN DATE '{first}' AND DATE '{last}'" if table in TABLES else ""
        for check in CHECKS.get(table, ()):
            (broken,) = connection.execute(f"SELECT {check} FROM {table}{days}").fetchone() or (None,)
            if broken:
                sys.exit(f"{table}: {check} = {broken}")
    total = connection.execute("SELECT count(*), sum(net_amount) FROM fact_sales").fetchone()
    connection.close()
    print(f"fact_sales: {total}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5])
