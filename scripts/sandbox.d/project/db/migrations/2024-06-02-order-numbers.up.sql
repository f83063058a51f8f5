-- Data migration: every order gets a number that people can say on the phone.
alter table orders add column number text;

update orders
set number = to_char(created_at at time zone 'UTC', 'YYYYMMDD') || '-' || lpad(id::text, 6, '0');

alter table orders alter column number set not null;
alter table orders add constraint orders_number_key unique (number);
