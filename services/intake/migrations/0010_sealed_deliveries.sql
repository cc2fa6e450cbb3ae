-- Deliveries are encrypted, each under a key of its own: to delete the key is to erase the delivery.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table delivery_key (
    delivery_id uuid primary key,
    wrapped bytea not null
);

-- A delivery that holds an erased complaint besides others waits here until nothing in it has still to be read.
create table delivery_to_erase (
    delivery_id uuid primary key
);

-- Which deliveries a complaint came in. Not concurrently: all of a schema's files are one transaction.
-- squawk-ignore require-concurrent-index-creation
create index submission_complaint on submission (complaint_id);
