-- Escalation's first tables are those of the delivery protocol: its state is in complaint_state.
comment on table complaint_state is 'tier, clocks and status of each complaint; services/escalation/domain.py: EscalationState';
