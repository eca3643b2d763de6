-- What happens is told to those who want to hear of it.

create or replace trigger ops_events_to_tell
  after insert on ops_agent_events
  referencing new table as arrived
  for each statement
  execute function ops_events_to_tell();

create or replace trigger ops_worker_was_lost
  after update of state on ops_workers
  for each row
  when (new.state = 'dead' and old.state is distinct from 'dead')
  execute function ops_worker_was_lost();
