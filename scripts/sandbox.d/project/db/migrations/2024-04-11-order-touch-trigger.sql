-- migrate:up
alter table orders add column updated_at timestamptz not null default now();

create function touch_updated_at() returns trigger
language plpgsql as $body$
begin
    -- A semicolon; inside a dollar-quoted body; is not the end of a statement.
    new.updated_at := now();
    return new;
end;
$body$;

create trigger orders_touch
before update on orders
for each row execute function touch_updated_at();

-- migrate:down
drop trigger orders_touch on orders;
drop function touch_updated_at();
alter table orders drop column updated_at;
