-- Sources: who sends webhooks, mail and files, how they are read and verified, and what was asked of them.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table source (
    name text primary key,
    adapter text not null,
    auth text not null,
    options json not null default '{}',
    created_at timestamptz not null default app_now(),
    disabled_at timestamptz
);

-- Encrypted by the master keys. Of `signing` the newest two are live; `token` is for the system's API.
create table source_secret (
    id bigint generated always as identity primary key,
    source text not null references source (name),
    purpose text not null check (purpose in ('signing', 'token')),
    wrapped bytea not null,
    created_at timestamptz not null default app_now()
);
create index source_secret_source on source_secret (source);

-- Texts that a webhook did not carry and that the system's API is asked for.
create table text_fetch (
    source text not null,
    event_id text not null,
    asked json not null,
    attempts integer not null default 0,
    due_at timestamptz not null default app_now(),
    problem text,
    traceparent text not null default '',
    primary key (source, event_id)
);
create index text_fetch_due on text_fetch (due_at);
