-- Memory keeps itself within bounds, whoever writes it.

create or replace trigger ops_agent_memory_added
  after insert on ops_agent_memory
  for each row
  when (new.superseded_by is null)
  execute function ops_memory_added();

create or replace trigger ops_agent_memory_active_again
  after update of superseded_by, pinned on ops_agent_memory
  for each row
  when (
    new.superseded_by is null
    and not new.pinned
    and (old.superseded_by is not null or old.pinned)
  )
  execute function ops_memory_added();

create or replace trigger ops_missions_teach
  after update on ops_missions
  referencing old table as before new table as after
  for each statement
  execute function ops_missions_teach();
