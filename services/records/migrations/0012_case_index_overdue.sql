-- What is overdue is a small part of all, and the first thing that anybody looks for.
set lock_timeout = '5s';
set statement_timeout = '10min';

-- squawk-ignore require-concurrent-index-creation
create index case_index_missed on case_index (changed_idx desc) where missed;
