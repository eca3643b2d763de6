-- name: step
-- A single step, due in %(delay_s)s seconds; returns its id.
insert into ops_mission_steps (kind, payload, agent_id, priority, max_attempts, run_at)
values (
  %(kind)s,
  %(payload)s::jsonb,
  %(agent)s,
  %(priority)s,
  %(max_attempts)s,
  ops_now() + make_interval(secs => %(delay_s)s)
)
returning id;

-- name: mission
-- A mission with its steps; returns its id.
select ops_enqueue_mission(
  title => %(title)s,
  steps => %(steps)s::jsonb,
  created_by => %(created_by)s,
  priority => %(priority)s
);

-- name: roundtable
-- A conversation, due in %(delay_s)s seconds; returns its id.
insert into ops_roundtable_queue (format, topic, participants, priority, run_at)
values (
  %(format)s,
  %(topic)s,
  %(participants)s::text[],
  %(priority)s,
  ops_now() + make_interval(secs => %(delay_s)s)
)
returning id;

-- name: initiative
-- One agent asked to propose something, due in %(delay_s)s seconds; returns the row's id.
insert into ops_initiative_queue (agent_id, trigger_reason, priority, run_at)
values (
  %(agent)s,
  %(reason)s,
  %(priority)s,
  ops_now() + make_interval(secs => %(delay_s)s)
)
returning id;
