-- Which complaint a message belongs to, for mails that answer it. Ids and people are keyed hashes.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table thread_link (
    message uuid not null,
    person uuid not null,
    complaint_id uuid not null,
    primary key (message, person)
);
create index thread_link_complaint on thread_link (complaint_id);
