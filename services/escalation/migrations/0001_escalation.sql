-- Escalation's first tables are those of the delivery protocol: its state is in complaint_state.
set lock_timeout = '5s';
set statement_timeout = '60s';
comment on table complaint_state is 'tier, clocks and status of each complaint; services/escalation/domain.py: EscalationState';
