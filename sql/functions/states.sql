-- The life of a queue row is a table (reactor/model/states.py); here the moves that table does not have are refused.

create or replace function ops_refuse_transition()
returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
  -- ops_retry is the one way out of a terminal state.
  if current_setting('ops.retrying', true) = 'on' and new.status in ('queued', 'waiting') then
    return new;
  end if;
  raise exception using
    errcode = 'OP008',
    message = format('%s %s is %s and cannot become %s', tg_table_name, old.id, old.status, new.status),
    hint = 'A failed or cancelled row is brought back by ops_retry(what, id).';
end
$$;

comment on function ops_refuse_transition() is
  'Trigger: raises OP008 for a move between states that does not exist; nothing changes.';
