-- Rows that come from another server.

create or replace function ops_settle_events()
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  settled bigint;
begin
  update ops_agent_events as event
  set xact = pg_current_xact_id()
  where event.xact > pg_current_xact_id();
  get diagnostics settled = row_count;
  return settled;
end
$$;

comment on function ops_settle_events() is
  'Events whose transaction this server has not come to yet, because they were restored from another one, count as written now;'
  ' else they would stay provisional for as long as it takes. Returns how many.';
