-- The tree over the ledger (docs/reference/ledger-formats.md): tiles, checkpoints, keys. All append-only, as the leaves are.
set lock_timeout = '5s';
set statement_timeout = '60s';

-- Full tiles only; what is not full yet is in ledger_leaf and in the roots of the level below.
create table ledger_tile (
    level integer not null,
    number bigint not null,
    hashes bytea not null check (octet_length(hashes) = 8192),
    root bytea not null check (octet_length(root) = 32),
    primary key (level, number)
);
alter table ledger_tile alter column hashes set storage external; -- hashes do not compress

create table ledger_checkpoint (
    number bigint generated always as identity primary key,
    size bigint not null,
    root bytea not null check (octet_length(root) = 32),
    note text not null,
    signed_at timestamptz not null default app_now()
);
create index ledger_checkpoint_size on ledger_checkpoint (size);

-- Every public key that ever signed: old checkpoints stay verifiable.
create table ledger_key (
    vkey text primary key,
    first_used_at timestamptz not null default app_now()
);

create trigger append_only before update or delete or truncate on ledger_tile
    for each statement execute function ledger_is_append_only();
create trigger append_only before update or delete or truncate on ledger_checkpoint
    for each statement execute function ledger_is_append_only();
create trigger append_only before update or delete or truncate on ledger_key
    for each statement execute function ledger_is_append_only();

-- Two replicas may begin their transactions in one order and append in the other: the head keeps the time from running back.
alter table ledger_head add column recorded_at timestamptz not null default '1970-01-01 00:00:00+00';

-- The only thing that ever changes is the head, and only so: the writing role itself can update nothing.
create function ledger_reserve(count bigint, at timestamptz, out first bigint, out recorded_at timestamptz)
language plpgsql security definer set search_path from current as $$
begin
    if count < 1 then
        raise exception 'a reservation is for one leaf at least';
    end if;
    update ledger_head as head
    set size = head.size + count, recorded_at = greatest(head.recorded_at, at)
    returning head.size - count, head.recorded_at into first, recorded_at;
end
$$;
revoke execute on function ledger_reserve(bigint, timestamptz) from public;

-- The role of the service's login. It can insert into the ledger and read it, and nothing else there; what is no ledger it
-- works with as usual. Make a login with: create role NAME login password '...' in role amends_records
do $$
begin
    if not exists (select from pg_roles where rolname = 'amends_records') then
        create role amends_records nologin;
    end if;
exception
    when duplicate_object or unique_violation then null; -- another database of this server makes it at the same moment
    when insufficient_privilege then
        raise exception 'this user may not create roles; let an administrator run: create role amends_records nologin';
end
$$;
grant usage on schema records to amends_records;
grant select, insert, update, delete on all tables in schema records to amends_records;
grant usage on all sequences in schema records to amends_records;
alter default privileges in schema records grant select, insert, update, delete on tables to amends_records;
alter default privileges in schema records grant usage on sequences to amends_records;
revoke insert, update, delete on schema_migration, ledger_head from amends_records;
revoke update, delete on ledger_leaf, ledger_payload, ledger_tile, ledger_checkpoint, ledger_key from amends_records;
grant execute on function ledger_reserve(bigint, timestamptz) to amends_records;
