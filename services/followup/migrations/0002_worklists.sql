-- What people look at across complaints: promises, tasks, outcomes. Written in the save that changes the state; the
-- state stays the truth. No text of customers; `what` is the words of the company's own people.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table promise (
    complaint_id uuid not null,
    promise text not null,
    status text not null,
    kind text not null,
    what text not null,
    owner text not null,
    due_at timestamptz,
    primary key (complaint_id, promise)
);
create index promise_status on promise (status, due_at);

create table task (
    complaint_id uuid not null,
    task text not null,
    kind text not null,
    what text not null,
    due_at timestamptz not null,
    primary key (complaint_id, task)
);
create index task_due on task (due_at);

-- customer: a keyed hash of their first address, so that their next complaint is known as theirs; never an address.
create table customer_case (
    complaint_id uuid primary key,
    customer uuid not null,
    received_at timestamptz not null
);
create index customer_case_customer on customer_case (customer, received_at);

create table outcome (
    complaint_id uuid primary key,
    outcome text not null,
    resolved_at timestamptz not null,
    recorded_at timestamptz not null,
    seconds_to_resolution bigint not null,
    promises_kept integer not null,
    promises_broken integer not null,
    reopened integer not null,
    team text not null,
    category text not null,
    remedy text not null,
    channel text not null,
    returned boolean not null default false
);
create index outcome_recorded on outcome (recorded_at);
