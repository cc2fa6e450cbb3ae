-- Which complaint was merged into which: what comes for the first belongs to the second.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table merged (
    complaint_id uuid primary key,
    into_id uuid not null
);
