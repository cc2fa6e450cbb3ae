-- Messages to the world outside (e-mail, webhooks, chat): saved with the decision, sent at least once under one stable id.
set lock_timeout = '5s';
set statement_timeout = '60s';

-- due_at: the next attempt; while somebody tries, the end of their lease. person: whose budget of notifications it counts
-- against; such a message waits (held) until the budget has let it pass or a digest has taken it up.
create table message (
    id uuid primary key,
    complaint_id uuid not null,
    name text not null,
    endpoint text not null,
    route text not null,
    recipient text not null,
    body json not null,
    person text,
    held boolean not null,
    due_at timestamptz not null,
    created_at timestamptz not null default app_now(),
    attempts integer not null default 0,
    last_reason text,
    traceparent text not null
);
create index message_due on message (endpoint, due_at) where not held;
create index message_held on message (person, due_at) where held;
create index message_complaint on message (complaint_id);

-- What is known of each endpoint. After failures in a row it is left alone until open_until: a dead one blocks nobody else.
create table endpoint (
    name text primary key,
    failures integer not null default 0,
    open_until timestamptz not null default '-infinity',
    failed_at timestamptz,
    reason text,
    worked_at timestamptz
);

-- Notifications that each person got in the last hour.
create table notified (
    person text not null,
    at timestamptz not null default app_now()
);
create index notified_person on notified (person, at);

-- It is made again at once, wider.
-- squawk-ignore ban-drop-constraint
alter table dead_letter drop constraint dead_letter_kind_check;
alter table dead_letter add constraint dead_letter_kind_check
    check (kind in ('event', 'timer', 'submission', 'message')) not valid;
