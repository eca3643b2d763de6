-- name: begin
-- The request is ours to answer: its key is taken. No row: somebody had it; a transaction that has it open is waited for.
insert into ops_idempotent_requests (key, request)
values (%(key)s, %(request)s)
on conflict on constraint ops_idempotent_requests_pkey do nothing
returning key;

-- name: answered
-- What was answered to the request with that key, and to which request.
select
  kept.request,
  kept.status,
  kept.headers,
  kept.body
from ops_idempotent_requests as kept
where kept.key = %(key)s;

-- name: keep
-- The answer is kept with the key.
update ops_idempotent_requests as kept
set
  status = %(status)s,
  headers = %(headers)s::jsonb,
  body = %(body)s
where kept.key = %(key)s;
