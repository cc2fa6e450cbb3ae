-- What waits for a person, listed across complaints; and what customers were granted, for the caps across complaints.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table hand_off (
    complaint_id uuid primary key,
    number integer not null,
    team text not null,
    accept_by timestamptz,
    reason text not null
);
create index hand_off_team on hand_off (team, accept_by);

create table granted (
    complaint_id uuid not null,
    offer integer not null,
    remedy text not null,
    customer text,
    category text not null,
    currency text not null,
    amount numeric not null,
    at timestamptz not null default app_now(),
    primary key (complaint_id, offer, remedy)
);
create index granted_customer on granted (customer, remedy, at);
create index granted_similar on granted (category, remedy, currency);
