-- The key of each complaint's payloads, wrapped by a master key. To delete the row is to erase the complaint.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table complaint_key (
    complaint_id uuid primary key,
    wrapped bytea not null,
    made_at timestamptz not null default app_now()
);
