-- Breakers tell every reactor when a call may go ahead again or no longer, whoever changed them.

create or replace trigger ops_circuit_breaker_changed
  after update of state, opened_at, open_seconds on ops_circuit_breaker
  for each row
  when (
    old.state <> new.state
    or old.opened_at is distinct from new.opened_at
    or old.open_seconds <> new.open_seconds
  )
  execute function ops_breaker_changed();
