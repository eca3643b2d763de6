-- Step order, and states that cannot be left.

create or replace trigger ops_mission_steps_born_waiting
  before insert on ops_mission_steps
  for each row
  when (new.mission_id is not null)
  execute function ops_step_is_born_waiting();

create or replace trigger ops_mission_steps_place
  after insert on ops_mission_steps
  for each row
  when (new.mission_id is not null)
  execute function ops_place_step();

create or replace trigger ops_mission_steps_single_held
  before insert on ops_mission_steps
  for each row
  when (new.mission_id is null)
  execute function ops_single_step_is_held();

create or replace trigger ops_mission_steps_single_told
  after insert on ops_mission_steps
  for each row
  when (new.mission_id is null and new.hold is not null)
  execute function ops_single_step_was_held();

create or replace trigger ops_mission_steps_states
  before update of status on ops_mission_steps
  for each row
  when (
    old.status <> new.status
    and (
      old.status in ('succeeded', 'failed', 'cancelled')
      or (old.status = 'waiting' and new.status in ('running', 'succeeded', 'failed'))
      or (old.status = 'queued' and new.status = 'succeeded')
      or (old.status = 'running' and new.status = 'waiting')
    )
  )
  execute function ops_refuse_transition();

create or replace trigger ops_roundtable_queue_states
  before update of status on ops_roundtable_queue
  for each row
  when (
    old.status <> new.status
    and (
      old.status in ('succeeded', 'failed', 'cancelled')
      or (old.status = 'waiting' and new.status in ('running', 'succeeded', 'failed'))
      or (old.status = 'queued' and new.status = 'succeeded')
      or (old.status = 'running' and new.status = 'waiting')
    )
  )
  execute function ops_refuse_transition();

create or replace trigger ops_initiative_queue_states
  before update of status on ops_initiative_queue
  for each row
  when (
    old.status <> new.status
    and (
      old.status in ('succeeded', 'failed', 'cancelled')
      or (old.status = 'waiting' and new.status in ('running', 'succeeded', 'failed'))
      or (old.status = 'queued' and new.status = 'succeeded')
      or (old.status = 'running' and new.status = 'waiting')
    )
  )
  execute function ops_refuse_transition();
