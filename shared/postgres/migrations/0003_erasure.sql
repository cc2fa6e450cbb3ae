-- An erased complaint leaves a row with its numbers and nothing personal, so that late events end there.
set lock_timeout = '5s';
set statement_timeout = '60s';

alter table complaint_state add column erased_at timestamptz;
