-- What intake keeps besides: deliveries as they came, their submissions with the outcome of each.
set lock_timeout = '5s';
set statement_timeout = '60s';

-- One request, mail or record as it came. Never changed.
create table delivery (
    id uuid primary key,
    source text not null,
    adapter text not null,
    received_at timestamptz not null,
    content_type text not null,
    headers json not null,
    body bytea not null,
    traceparent text not null
);
-- Not compressed: bodies will be ciphertext, and compressing a list of complaints costs more than storing it.
alter table delivery alter column body set storage external;

-- Deliveries whose submissions wait to be normalized.
create table inbox (
    delivery_id uuid primary key,
    items integer not null
);

-- One row a submission, by the sender's event id: what was accepted, and what became of it. No outcome: pending.
create table submission (
    source text not null,
    event_id text not null,
    delivery_id uuid not null,
    item integer not null,
    sha256 bytea not null,
    complaint_id uuid not null,
    outcome text check (outcome in ('complaint', 'contact', 'reply', 'status', 'set_aside', 'rejected', 'dead_letter')),
    reason text,
    primary key (source, event_id)
) with (fillfactor = 80);
create index submission_delivery on submission (delivery_id, item);
