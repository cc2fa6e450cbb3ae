-- A state of a few kilobytes stays in its row: compressing it and keeping it beside costs more than the space is worth.
set lock_timeout = '5s';
set statement_timeout = '60s';

alter table complaint_state set (toast_tuple_target = 8160);
