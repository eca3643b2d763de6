-- name: allow
-- True when a call to the service may go ahead now; while half open that is a permit.
select ops_breaker_allow(%(service)s);

-- name: allow_llm_calls
-- As allow, for a call to the language model each, by its place; null, and no permit, while everything is paused.
select
  asked.place,
  case when (select count(*) from ops_pauses) < 3 then ops_breaker_allow(asked.service) end as allowed
from unnest(%(services)s::text[]) with ordinality as asked (service, place);

-- name: record
-- The state of the service's breaker after one call was reported.
select ops_breaker_record(%(service)s, %(success)s);

-- name: record_all
-- As record, for each report, one after the other, by its place.
select report.place, ops_breaker_record(report.service, report.success) as state
from unnest(%(services)s::text[], %(successes)s::boolean[]) with ordinality as report (service, success, place);

-- name: reset
-- The breaker is closed by hand; true when something changed.
select ops_breaker_reset(%(service)s);

-- name: closed_services
-- Services that may not be called now with the key, each with the seconds until a try may be allowed; half open with every permit given: 1.
select shut.service, shut.wait_s
from ops_closed_services(%(key_print)s) as shut;

-- name: breakers
-- Every breaker, by name; open_until is null unless it is open.
select
  breaker.service,
  breaker.state,
  breaker.failure_count,
  breaker.success_count,
  breaker.failure_threshold,
  breaker.success_threshold,
  breaker.open_seconds,
  breaker.permit_seconds,
  breaker.opened_at,
  case breaker.state
    when 'open' then breaker.opened_at + breaker.open_seconds * interval '1 second'
  end as open_until,
  case breaker.state
    when 'half_open' then cardinality(ops_outstanding_permits(breaker))
    else 0
  end as permits_outstanding
from ops_circuit_breaker as breaker
order by breaker.service;
