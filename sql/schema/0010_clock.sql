-- The clock every lease, backoff and cooldown goes by.
-- A function, so that a test may replace it in its own database; no setting moves the clock in production.

create function ops_now()
returns timestamptz
language sql
stable
parallel safe
set search_path = pg_catalog, pg_temp
return statement_timestamp();

comment on function ops_now() is
  'The present time by the database; stable within a statement.';
