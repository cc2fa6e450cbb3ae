-- The records of the policy topics that concern this service, as last read: it starts with them while Kafka is down.
set lock_timeout = '5s';
set statement_timeout = '60s';

create table policy_record (
    topic text not null,
    key text not null,
    value text not null,
    primary key (topic, key)
);
