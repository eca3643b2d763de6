-- Another budget is in force at once, also for what already waits for tomorrow.

create or replace trigger ops_llm_budget_changed
  after update of value on ops_policy
  for each row
  when (new.key = 'llm_budget' and new.value is distinct from old.value)
  execute function ops_llm_budget_changed();
