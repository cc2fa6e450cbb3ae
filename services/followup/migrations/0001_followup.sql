-- Follow-up's first tables are those of the delivery protocol: its plan is in complaint_state, its timers in timer.
comment on table complaint_state is 'what is planned for each complaint; services/followup/domain.py: FollowUpState';
