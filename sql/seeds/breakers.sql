-- The one service every agent needs. A further one, such as a webhook's host, is one more insert of its name; it starts closed
-- with the thresholds of the table's defaults, and ops_breaker_allow refuses services that are not in the table.

insert into ops_circuit_breaker (service)
values ('anthropic')
on conflict on constraint ops_circuit_breaker_pkey do nothing;
