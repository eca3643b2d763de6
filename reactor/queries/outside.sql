-- name: signing_key
-- The secret that webhooks and notices are signed with.
select key.secret
from ops_webhook_key as key
where key.name = 'webhooks';

-- name: private_hosts
-- The places in the own network that webhooks may go to, as an array of host:port.
select policy.value
from ops_policy as policy
where policy.key = 'private_hosts';

-- name: released
-- Whether a person has let the step go.
select step.released_at is not null
from ops_mission_steps as step
where step.id = %(step_id)s;

-- name: breaker_for
-- There is a breaker of that name.
insert into ops_circuit_breaker (service)
values (%(service)s)
on conflict on constraint ops_circuit_breaker_pkey do nothing;

-- name: take_notices
-- What the step has to tell, its own from now on.
select ops_take_notices(%(topic)s, %(step_id)s);

-- name: notify_test
-- The step that sends a test notice.
select ops_notify_test();

-- name: daily_digest
-- The day before is summed up, if it is time; in how many seconds to ask again.
select ops_daily_digest();
