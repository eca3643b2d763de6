-- What rules and reactions wait for is put into their inbox as it arrives, whoever wrote it.
-- By the row, with the one kind of event that comes by the ten thousand and says nothing left out before any function is
-- called: a statement-level trigger costs every completion 5 % for handing over its new rows, needed or not.

create or replace trigger ops_agent_events_arrived
  after insert on ops_agent_events
  for each row
  when (new.kind <> 'step_succeeded' or new.title <> 'noop')
  execute function ops_event_arrived();

create or replace trigger ops_trigger_rules_watch
  after insert or delete or update of enabled, mode, event_kind, tags_all on ops_trigger_rules
  for each statement
  execute function ops_rules_changed();

create or replace trigger ops_reaction_matrix_watch
  after insert or update of value on ops_policy
  for each row
  when (new.key = 'reaction_matrix')
  execute function ops_rules_changed();
