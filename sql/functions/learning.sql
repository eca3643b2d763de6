-- What work teaches: missions that ended. What became of their results out there is in outcomes.sql.

create or replace function ops_mission_is_simulated(mission ops_missions)
returns boolean
language sql
stable
set search_path = public, pg_temp
as $$
  select mission.simulated
    or exists (select from ops_mission_steps as step where step.mission_id = mission.id and step.simulated);
$$;

comment on function ops_mission_is_simulated(ops_missions) is 'True when the mock proposed the mission, or did a step of it.';

create or replace function ops_agent_of_step(step ops_mission_steps)
returns text
language sql
stable
set search_path = public, pg_temp
as $$
  select agent.id
  from (
    values
      (1, step.agent_id),
      (2, case jsonb_typeof(step.result -> 'agent') when 'string' then step.result ->> 'agent' end),
      (
        3,
        (
          select proposal.agent_id
          from ops_missions as mission
          join ops_mission_proposals as proposal
            on proposal.id = mission.proposal_id
          where mission.id = step.mission_id
        )
      ),
      (
        4,
        (
          select mission.created_by
          from ops_missions as mission
          where mission.id = step.mission_id
        )
      )
  ) as candidate (place, id)
  join ops_agents as agent
    on agent.id = candidate.id
  order by candidate.place
  limit 1;
$$;

comment on function ops_agent_of_step(ops_mission_steps) is
  'Whose work a step was: the agent it names, else the one its result does, else whoever proposed or made the mission; null'
  ' when nobody of these is an agent.';

-- It was made without trust first, and no function may have two shapes.
drop function if exists ops_learn_from_mission(text, bigint, text, text, double precision, text[], boolean);

create or replace function ops_learn_from_mission(
  agent_id text,
  mission_id bigint,
  type text,
  content text,
  confidence double precision,
  tags text[],
  simulated boolean,
  trust text
)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  most_a_day constant integer := 3;
begin
  perform ops_memory_lock(agent_id);
  if (
    select count(*)
    from ops_agent_memory as memory
    where memory.agent_id = ops_learn_from_mission.agent_id
      and memory.created_at >= ops_day_start()
      and memory.source_trace_id like 'mission:%'
      and memory.simulated = ops_learn_from_mission.simulated
  ) >= most_a_day then
    return null;
  end if;
  return ops_remember(
    ops_learn_from_mission.agent_id,
    ops_learn_from_mission.type,
    ops_learn_from_mission.content,
    ops_learn_from_mission.confidence,
    ops_learn_from_mission.tags,
    'mission:' || ops_learn_from_mission.mission_id,
    ops_learn_from_mission.simulated,
    ops_learn_from_mission.trust
  );
end
$$;

comment on function ops_learn_from_mission(text, bigint, text, text, double precision, text[], boolean, text) is
  'The memory''s id; null when the agent has learnt from three missions today, the mock''s and real ones counted apart.';

create or replace function ops_missions_teach()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
  lesson record;
begin
  for lesson in
    with ended as (
      select after.id, after.status, after.title, after.failure_reason
      from after
      join before
        on before.id = after.id
      where after.status <> before.status
        and after.status in ('failed', 'succeeded')
    ),
    taught as (
      select
        ended.id as mission_id,
        step.seq,
        step.id as step_id,
        step.kind,
        ended.status,
        ops_agent_of_step(step) as agent_id,
        case ended.status
          when 'failed' then format(
            '"%s" failed at %s: %s',
            left(ended.title, 150),
            step.kind,
            coalesce(step.failure_reason, ended.failure_reason, 'nobody knows why')
          )
          else step.result ->> 'lesson'
        end as content
      from ended
      join ops_mission_steps as step
        on step.mission_id = ended.id
      where case ended.status
        when 'failed' then step.status = 'failed' and step.ended_by is null
        else step.status = 'succeeded'
          and jsonb_typeof(step.result -> 'lesson') = 'string'
          and step.result ->> 'lesson' ~ '\S'
      end
    )
    -- One memory for each agent and mission: the last thing it learnt there, but the first thing that failed.
    select distinct on (taught.agent_id, taught.mission_id)
      taught.agent_id,
      taught.mission_id,
      taught.kind,
      taught.status,
      taught.content,
      behind.simulated,
      case when behind.untrusted then 'untrusted' else 'agent' end as trust
    from taught
    cross join lateral (
      select
        bool_or(step.simulated) as simulated,
        bool_or(step.kind = 'crawl' or coalesce(step.result -> 'untrusted' = 'true', false)) as untrusted
      from ops_mission_steps as step
      where step.mission_id = taught.mission_id
    ) as behind
    where taught.agent_id is not null
    order by
      taught.agent_id,
      taught.mission_id,
      case taught.status when 'failed' then taught.seq else - taught.seq::bigint end,
      taught.step_id
  loop
    perform ops_learn_from_mission(
      lesson.agent_id,
      lesson.mission_id,
      case lesson.status when 'failed' then 'lesson' else 'strategy' end,
      lesson.content,
      case lesson.status when 'failed' then 0.8 else 0.7 end,
      array['mission', lesson.kind],
      lesson.simulated,
      lesson.trust
    );
  end loop;
  return null;
end
$$;

comment on function ops_missions_teach() is
  'Trigger, once a statement: a mission that failed for good is a lesson (.80) of whoever failed; one that succeeded is a'
  ' strategy (.70) of whoever''s result carries a lesson. At most three an agent and day. What a page of the open net was behind is'
  ' a stranger''s.';
