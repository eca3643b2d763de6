-- Policies and agents tell every reactor when they change.

create or replace trigger ops_policy_changes
  before insert or update of value, shape on ops_policy
  for each row
  execute function ops_policy_changes();

create or replace trigger ops_policy_changed
  after insert or update of value on ops_policy
  for each row
  execute function ops_policy_changed();

create or replace trigger ops_agents_changed
  after insert or update or delete on ops_agents
  for each statement
  execute function ops_agents_changed();
