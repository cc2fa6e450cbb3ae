-- The directory of teams, where no file is given: the newest row counts.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table directory (
    id bigint generated always as identity primary key,
    text text not null,
    stored_by text not null,
    stored_at timestamptz not null default app_now()
);
