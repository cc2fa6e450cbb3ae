-- Sweeps over all open complaints after the policies, and with them the calendars, have changed.
set lock_timeout = '5s';
set statement_timeout = '60s';

-- One sweep of each set of policies, or one that a person asked for. A replica that has claimed it goes on from `after`.
create table clock_recompute (
    id bigint generated always as identity primary key,
    policies text not null unique,
    asked_by text not null,
    asked_at timestamptz not null default app_now(),
    claimed_until timestamptz,
    after uuid not null default '00000000-0000-0000-0000-000000000000',
    seen bigint not null default 0,
    changed bigint not null default 0,
    done_at timestamptz
);
