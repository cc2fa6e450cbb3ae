-- The ledger: append-only, one leaf per event, contiguous from 0. Leaves and payloads are apart, so that a payload can be
-- erased one day and every leaf, proof and count stays.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table ledger_head (
    single boolean primary key default true check (single),
    size bigint not null
);
insert into ledger_head (size) values (0);

create table ledger_leaf (
    idx bigint primary key,
    leaf bytea not null,
    leaf_hash bytea not null check (leaf_hash = sha256('\x00'::bytea || leaf)),
    event_id uuid not null unique,
    complaint_id uuid not null
);
create index ledger_leaf_complaint on ledger_leaf (complaint_id, idx);

create table ledger_payload (
    idx bigint primary key,
    service text not null,
    event_type text not null,
    sequence bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    salt bytea not null,
    payload bytea not null
);
-- Not compressed: payloads will be ciphertext. In the row while they fit: a timeline reads them in one go.
alter table ledger_payload alter column payload set storage external;
alter table ledger_payload set (toast_tuple_target = 8160);

create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % on % is refused', tg_op, tg_table_name;
end
$$;
create trigger append_only before update or delete or truncate on ledger_leaf
    for each statement execute function ledger_is_append_only();
create trigger append_only before update or truncate on ledger_payload
    for each statement execute function ledger_is_append_only();
