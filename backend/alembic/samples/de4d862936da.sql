-- Rows for proofs, once SHOP-17 is applied. No constraint says yet what holds in production, that each reference is of
-- one order only; SHOP-18 builds on it, and rows that are made up would not know.
UPDATE orders SET reference = 'SO-' || id;
