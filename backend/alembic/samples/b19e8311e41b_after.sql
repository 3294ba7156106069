-- What SHOP-3 is for: each product has the number in stock that it had before. An INSERT that left out the products with
-- none would lose nothing on the way down, and the rows of a new table are compared with nothing: only this finds it.
-- after: up
SELECT products.id, products.stock_quantity, stock.quantity
FROM products
LEFT JOIN stock ON stock.product_id = products.id
WHERE stock.quantity IS DISTINCT FROM products.stock_quantity;
