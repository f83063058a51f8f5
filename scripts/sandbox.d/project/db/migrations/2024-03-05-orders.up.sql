create type order_status as enum ('open', 'paid', 'shipped', 'cancelled');

create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers (id),
    status order_status not null default 'open',
    total_cents integer not null check (total_cents >= 0),
    created_at timestamptz not null default now()
);

-- Some orders to work with; the data migration below changes them.
insert into customers (email, name)
select 'customer' || n || '@example.com', 'Customer ' || n || case when n % 10 = 0 then ' O''Neil' else '' end
from generate_series(1, 200) as n;

insert into orders (customer_id, status, total_cents, created_at)
select c.id, 'paid', 500 + (c.id * 37 % 9000)::integer, now() - (n || ' days')::interval
from customers c, generate_series(1, 5) as n;
