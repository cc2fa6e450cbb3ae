-- What is searched: one row a complaint, folded from the ledger behind it. Thrown away and made again at any time.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table case_index (
    complaint_id uuid primary key,
    changed_idx bigint not null,
    changed_at timestamptz not null,
    received_at timestamptz,
    status text not null,
    tier integer,
    team text,
    owner text,
    cause text not null,
    channel text not null,
    source text not null,
    severity integer not null,
    heat text,
    next_due timestamptz,
    missed boolean not null,
    remedy text,
    resolution text,
    outcome text,
    language text not null,
    words tsvector not null,
    folded json not null
);
create index case_index_changed on case_index (changed_idx desc);
create index case_index_words on case_index using gin (words);
create index case_index_status on case_index (status, changed_idx desc);
create index case_index_cause on case_index (cause, changed_idx desc);
create index case_index_source on case_index (source, changed_idx desc);
create index case_index_team on case_index (team, changed_idx desc);
create index case_index_due on case_index (next_due) where next_due is not null;

-- How far the index has read the ledger.
create table case_position (
    single boolean primary key default true check (single),
    idx bigint not null
);
insert into case_position (idx) values (-1);

grant select, insert, update, delete on case_index, case_position to amends_records;
