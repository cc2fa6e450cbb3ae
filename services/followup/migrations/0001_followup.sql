-- Follow-up's first tables are those of the delivery protocol: its plan is in complaint_state, its timers in timer.
set lock_timeout = '5s';
set statement_timeout = '60s';
comment on table complaint_state is 'what is planned for each complaint; services/followup/domain.py: FollowUpState';
