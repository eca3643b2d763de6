-- What is asked of every reactor, told to every reactor.

create or replace trigger ops_policy_queue_limits_changed
  after update of value on ops_policy
  for each row
  when (new.key = 'queue_limits' and new.value is distinct from old.value)
  execute function ops_queue_limits_changed();

create or replace trigger ops_generation_changed
  after update of minimum on ops_generation
  for each row
  when (new.minimum is distinct from old.minimum)
  execute function ops_generation_changed();
