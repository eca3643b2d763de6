-- Another budget is in force at once, also for what already waits for tomorrow.

create or replace trigger ops_llm_budget_changed
  after update of value on ops_policy
  for each row
  when (new.key = 'llm_budget' and new.value is distinct from old.value)
  execute function ops_llm_budget_changed();

create or replace trigger ops_mission_steps_wait_for_budget
  before update of run_at on ops_mission_steps
  for each row
  when (
    old.status = 'running'
    and new.status = 'queued'
    and new.run_at > old.run_at
    and new.failure_reason like 'out of budget:%'
  )
  execute function ops_llm_waits_for_budget();

create or replace trigger ops_roundtable_queue_wait_for_budget
  before update of run_at on ops_roundtable_queue
  for each row
  when (
    old.status = 'running'
    and new.status = 'queued'
    and new.run_at > old.run_at
    and new.failure_reason like 'out of budget:%'
  )
  execute function ops_llm_waits_for_budget();

create or replace trigger ops_initiative_queue_wait_for_budget
  before update of run_at on ops_initiative_queue
  for each row
  when (
    old.status = 'running'
    and new.status = 'queued'
    and new.run_at > old.run_at
    and new.failure_reason like 'out of budget:%'
  )
  execute function ops_llm_waits_for_budget();
