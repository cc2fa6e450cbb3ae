-- What every service keeps for the delivery protocol (docs/delivery.md), in its own schema.
set lock_timeout = '5s';
set statement_timeout = '60s';

-- The only clock of SQL, so that a local stack can simulate time.
create function app_now() returns timestamptz language sql stable parallel safe as 'select now()';

-- One row a complaint: the service's state, and the three numbers that make delivery exactly-once in effect.
-- revision: bumped by every save. sequence: the last event emitted. seen: the last event handled of each other service.
-- state is null while nothing was handled yet: the first events wait in held or dead_letter.
create table complaint_state (
    complaint_id uuid primary key,
    revision bigint not null,
    sequence bigint not null,
    seen json not null,
    state json
) with (fillfactor = 80);

-- Events that came before their predecessor: they wait here for it.
create table held (
    complaint_id uuid not null,
    service text not null,
    sequence bigint not null,
    envelope json not null,
    data bytea not null,
    held_since timestamptz not null default app_now(),
    primary key (complaint_id, service, sequence)
);
create index held_since on held (held_since);

-- One row a save, all its events packed; deleted when Kafka has acknowledged them.
create table outbox (
    id bigint generated always as identity primary key,
    send_after timestamptz not null default app_now() + interval '3 seconds',
    saved_at timestamptz not null default app_now(),
    events bytea not null
);
-- The rows live for milliseconds: compressing them would cost more than writing them.
alter table outbox alter column events set storage external;

create table timer (
    complaint_id uuid not null,
    name text not null,
    due_at timestamptz not null,
    traceparent text not null,
    primary key (complaint_id, name)
);
create index timer_due on timer (due_at);

-- Inputs that cannot be handled, with their bytes, until somebody replays them. reference says where the input came from.
create table dead_letter (
    id bigint generated always as identity primary key,
    reference text not null unique,
    kind text not null check (kind in ('event', 'timer', 'submission')),
    complaint_id uuid,
    service text,
    sequence bigint,
    reason text not null,
    input json not null,
    key bytea,
    data bytea,
    parked_at timestamptz not null default app_now()
);
create index dead_letter_parked on dead_letter (parked_at);

-- Commands by their idempotency key, with the answer that was given.
create table command (
    key text primary key,
    complaint_id uuid not null,
    digest bytea not null,
    answer json not null,
    accepted_at timestamptz not null default app_now()
);
create index command_accepted on command (accepted_at);

-- API keys: only the hash is kept; the key is shown once, when it is made.
create table api_key (
    id text primary key,
    sha256 bytea not null,
    name text not null unique,
    scopes text[] not null,
    created_at timestamptz not null default app_now(),
    expires_at timestamptz,
    disabled_at timestamptz
);
