-- An index on a busy table: built without blocking writes, hence outside of a transaction.
-- migrate:up
create index concurrently orders_customer_id_created_at_idx
    on orders (customer_id, created_at desc);

-- migrate:down
drop index concurrently orders_customer_id_created_at_idx;
