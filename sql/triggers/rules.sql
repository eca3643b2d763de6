-- What rules and reactions wait for is put into their inbox as it arrives, whoever wrote it. Once a statement: events come by
-- the hundred with a batch of completions, and a function called for each would cost more than the completions.

create or replace trigger ops_agent_events_arrived
  after insert on ops_agent_events
  referencing new table as arrived
  for each statement
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
