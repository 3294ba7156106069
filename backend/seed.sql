-- Sample rows for development, about 66,000 in all tables; run it with `make seed`, as often as you like.
--
-- Ids start at 1,000,001, and what is already there is left alone: your own rows stay as they are.
-- Every value follows from the number of its row, so that two machines hold the same data.

INSERT INTO currencies (code, name, minor_units)
VALUES
    ('DKK', 'Dansk krone', 2),
    ('KWD', 'دينار كويتي', 3),
    ('PLN', 'Złoty', 2)
ON CONFLICT DO NOTHING;

INSERT INTO customers (id, public_id, email, created_at, full_name)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    md5('customer ' || n)::uuid,
    'customer' || n || '@shop.example',
    timestamptz '2019-12-31 23:59:59+00' + n * interval '9 hours 7 minutes',
    CASE n
        WHEN 1 THEN 'Ō'
        WHEN 2 THEN 'Renée O''Connor-D''Angelo'
        WHEN 3 THEN rpad('Pablo Diego José Francisco de Paula ', 200, 'Juan Nepomuceno ')
        ELSE
            (ARRAY['Anna', 'Błażej', 'Chloé', 'Đorđe', 'Eva', 'Françoise', 'Grigóris', 'Håkon', 'Íris', 'José', '美咲'])
                [1 + n % 11]
            || ' '
            || (ARRAY['Åberg', 'Brown', 'Çelik', 'Dvořák', 'Müller', 'Nguyễn', 'O''Brien', 'Petrović', 'Саенко', '山田'])
                [1 + n / 11 % 10]
            || CASE WHEN n > 110 THEN ' ' || n ELSE '' END
    END
FROM generate_series(1, 5000) AS n
ON CONFLICT DO NOTHING;

-- Each customer but every tenth has a default address; every third has another one.
INSERT INTO addresses (id, customer_id, recipient, street, city, postcode, country, is_default)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    1000001 + (n - 1) % 5000,
    CASE WHEN n % 7 = 0 THEN 'c/o Søren Ærø' END,
    (ARRAY['Hauptstraße', 'Rue de l''Église', 'Ulica Łąkowa', 'Calle Mayor', 'High Street', 'Ærøgade', '大通り'])[1 + n % 7]
        || ' ' || 1 + n % 250,
    (ARRAY['Köln', 'Besançon', 'Łódź', 'A Coruña', 'Dublin', 'Århus', '札幌市'])[1 + n % 7],
    CASE WHEN n % 7 <> 4 THEN lpad((n * 37 % 100000)::text, 5, '0') END,
    (ARRAY['DE', 'FR', 'PL', 'ES', 'IE', 'DK', 'JP'])[1 + n % 7],
    n <= 5000 AND n % 10 <> 0
FROM generate_series(1, 6667) AS n
ON CONFLICT DO NOTHING;

INSERT INTO products (id, sku, name, created_at)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    'SEED-' || lpad(n::text, 5, '0'),
    CASE n
        WHEN 1 THEN 'X'
        WHEN 2 THEN rpad('Longer than the 80 characters that a name could once have ', 120, '– and on ')
        ELSE
            (ARRAY['Blue', 'Grün', 'Rosé', 'Żółty', 'Schwarz', 'Écru', '白い'])[1 + n % 7]
            || ' '
            || (ARRAY['mug', 'teapot', 'crêpe pan', 'Schürze', 'knife', 'tablecloth', 'カップ', 'bowl'])[1 + n / 7 % 8]
            || ' no. ' || n
    END,
    timestamptz '2019-06-01 08:00:00+00' + n * interval '24 hours'
FROM generate_series(1, 1000) AS n
ON CONFLICT DO NOTHING;

-- Three prices each: without a beginning until 2024, for two years, and without an end from 2026.
INSERT INTO prices (id, product_id, amount, validity)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    1000001 + (n - 1) / 3,
    CASE n
        WHEN 1 THEN 0
        WHEN 2 THEN 9999999999.99
        ELSE (199 + n * 7919 % 20000) / 100.0
    END,
    (
        ARRAY[
            daterange(NULL, '2024-01-01'),
            daterange('2024-01-01', '2026-01-01'),
            daterange('2026-01-01', NULL)
        ]
    )[1 + (n - 1) % 3]
FROM generate_series(1, 3000) AS n
ON CONFLICT DO NOTHING;

-- Every twentieth product has never been in stock: it has no movement, and so no row in stock.
-- The trigger on stock_movements adds to stock, so a product that has a row there is left alone: after a rollback
-- that took the movements but not the stock, they would count twice. ORDER BY: deliveries before sales.
INSERT INTO stock_movements (id, product_id, change, reason, moved_at)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    1000001 + (n - 1) % 1000,
    CASE
        WHEN n = 1 THEN 2000000000
        WHEN n <= 1000 THEN 50 + n % 200
        WHEN n <= 2000 AND n % 10 = 5 THEN -(50 + (n - 1000) % 200)
        ELSE -(1 + n % 20)
    END,
    CASE
        WHEN n <= 1000 THEN 'delivery'
        WHEN n % 10 = 5 THEN 'Inventur: Schwund'
    END,
    timestamptz '2025-01-01 06:30:00+00' + n * interval '1 hour 11 minutes'
FROM generate_series(1, 3000) AS n
WHERE (n - 1) % 1000 % 20 <> 19
    AND NOT (n > 2000 AND n % 10 = 5)
    AND NOT EXISTS (SELECT FROM stock WHERE stock.product_id = 1000001 + (n - 1) % 1000)
ORDER BY n
ON CONFLICT DO NOTHING;

INSERT INTO orders (id, customer_id, status, currency, note, ordered_at, reference)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    1000001 + n * 13 % 4900,
    CASE
        WHEN n % 50 = 0 THEN 'returned'
        WHEN n % 25 = 1 THEN 'cancelled'
        WHEN n > 9800 THEN 'pending'
        WHEN n > 9600 THEN 'paid'
        WHEN n > 9300 THEN 'shipped'
        ELSE 'delivered'
    END::order_status,
    (ARRAY['EUR', 'EUR', 'EUR', 'EUR', 'USD', 'GBP', 'CHF', 'DKK', 'JPY', 'KWD', 'PLN'])[1 + n % 11],
    CASE
        WHEN n = 7 THEN ''
        WHEN n % 9 = 0 THEN 'Bitte beim Nachbarn klingeln – "Müller"'
        WHEN n % 13 = 0 THEN E'two lines:\nleave at door, 100 % waterproof'
    END,
    timestamptz '2021-03-28 00:59:59+00' + n * interval '4 hours 57 minutes',
    'SO-' || 1000000 + n
FROM generate_series(1, 10000) AS n
ON CONFLICT DO NOTHING;

-- One to five lines each; every hundredth order has none.
INSERT INTO order_lines (id, order_id, line_number, product_id, quantity, unit_price)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n * 5 + line_number - 5,
    1000000 + n,
    line_number,
    1000001 + (n * 17 + line_number * 101) % 1000,
    CASE WHEN n = 2 THEN 2147483647 ELSE 1 + (n + line_number) % 6 END,
    CASE
        WHEN n = 3 THEN 0
        WHEN n = 4 THEN 9999999999.99
        WHEN n % 11 = 8 THEN 150 + n * line_number % 20000
        ELSE (199 + n * 31 * line_number % 20000) / 100.0
    END
FROM generate_series(1, 10000) AS n
CROSS JOIN generate_series(1, 5) AS line_number
WHERE line_number <= 1 + n % 5
    AND n % 100 <> 0
ON CONFLICT DO NOTHING;

-- Three in four orders are paid in full, by what their lines add up to or the most that a payment can be.
INSERT INTO payments (id, order_id, amount, method, received_at)
OVERRIDING SYSTEM VALUE
SELECT
    1000000 + n,
    1000000 + n,
    least(lines.total, 9999999999.99),
    (ARRAY['card', 'card', 'card', 'transfer', 'voucher'])[1 + n % 5],
    CASE WHEN n <= 9800 THEN timestamptz '2021-03-28 01:02:59+00' + n * interval '4 hours 57 minutes' END
FROM generate_series(1, 10000) AS n
JOIN (
    SELECT order_id, sum(quantity * unit_price) AS total
    FROM order_lines
    GROUP BY order_id
) AS lines ON lines.order_id = 1000000 + n
WHERE lines.total > 0
    AND n % 4 <> 3
    AND n % 25 <> 1
ON CONFLICT DO NOTHING;

-- A returned order is paid back: a payment below zero.
INSERT INTO payments (id, order_id, amount, method, received_at)
OVERRIDING SYSTEM VALUE
SELECT
    1010000 + n,
    payments.order_id,
    -payments.amount,
    payments.method,
    payments.received_at + interval '336 hours'
FROM generate_series(50, 10000, 100) AS n
JOIN payments ON payments.id = 1000000 + n
ON CONFLICT DO NOTHING;
