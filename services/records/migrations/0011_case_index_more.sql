-- Searches by owner, by tier and by when it was received read little; so does the list of what nobody attends to.
-- Only the index of cases waits while these are made (seconds for a million): nothing else writes to its table.
set lock_timeout = '5s';
set statement_timeout = '10min';

-- squawk-ignore require-concurrent-index-creation
create index case_index_owner on case_index (owner, changed_idx desc);
-- squawk-ignore require-concurrent-index-creation
create index case_index_tier on case_index (tier, changed_idx desc);
-- squawk-ignore require-concurrent-index-creation
create index case_index_received on case_index (received_at);
-- squawk-ignore require-concurrent-index-creation
create index case_index_alone on case_index (changed_idx)
    where status in ('open', 'waiting') and (next_due is null or (team is null and owner is null));
