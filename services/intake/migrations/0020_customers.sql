-- Which complaints a customer has, and which of them may be one. People are keyed hashes: no address, number or name is here.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table customer_complaint (
    person uuid not null,
    complaint_id uuid not null,
    category text not null,
    opened_at timestamptz not null,
    heard_at timestamptz not null,
    primary key (person, opened_at, complaint_id)
);
create index customer_complaint_complaint on customer_complaint (complaint_id);

-- Proposals that nobody has decided on yet.
create table suspected_repeat (
    complaint_id uuid primary key,
    of_id uuid not null,
    matched text[] not null,
    same_category boolean not null,
    similarity double precision,
    opened_at timestamptz not null,
    suspected_at timestamptz not null
);
create index suspected_repeat_suspected_at on suspected_repeat (suspected_at desc, complaint_id);
create index suspected_repeat_of on suspected_repeat (of_id);
