-- name: formats
-- Every format of conversation, by name.
select
  known.format,
  known.min_agents,
  known.max_agents,
  known.min_turns,
  known.max_turns,
  known.temperature::float8,
  known.formal,
  known.instruction,
  known.ending,
  known.topics
from ops_conversation_formats as known
order by known.format;

-- name: brief
-- What a conversation is to be, as the row has it now.
select talk.format, talk.topic, talk.participants, talk.source, talk.topics, talk.plan, talk.distils, talk.simulated
from ops_roundtable_queue as talk
where talk.id = %(id)s;

-- name: begin
-- Topic, participants and plan are decided, if the row runs under %(token)s and has no plan yet; an event says so.
with begun as (
  update ops_roundtable_queue as talk
  set
    topic = %(topic)s,
    participants = %(participants)s,
    plan = %(plan)s::jsonb
  where talk.id = %(id)s
    and talk.claim_token = %(token)s
    and talk.status = 'running'
    and talk.plan is null
  returning talk.id, talk.format, talk.topic, talk.participants
),
told as (
  insert into ops_agent_events (kind, title, summary, tags, metadata)
  select
    'roundtable_began',
    begun.format,
    begun.topic,
    array['roundtable', begun.format],
    jsonb_build_object('roundtable_id', begun.id, 'participants', begun.participants)
  from begun
)
select begun.id
from begun;

-- name: standing
-- Whether the row still runs under %(token)s, and whether conversations are paused.
select
  talk.status = 'running' and talk.claim_token = %(token)s as mine,
  exists (select from ops_pauses as pause where pause.queue = 'roundtable') as paused
from ops_roundtable_queue as talk
where talk.id = %(id)s;

-- name: turns
-- What was said, first to last.
select said.turn, said.speaker, said.dialogue, said.tone, said.simulated, said.created_at
from ops_roundtable_turns as said
where said.conversation_id = %(id)s
order by said.turn;

-- name: take_turn
-- The number of the turn added, null when the row does not run under %(token)s any more.
select ops_take_turn(
  roundtable_id => %(id)s,
  claim_token => %(token)s,
  speaker => %(speaker)s,
  dialogue => %(dialogue)s,
  tone => %(tone)s,
  simulated => %(simulated)s
);

-- name: affinities
-- How much those of %(agents)s who have met like each other.
select pair.agent_a, pair.agent_b, pair.affinity
from ops_agent_relationships as pair
where pair.agent_a = any (%(agents)s)
  and pair.agent_b = any (%(agents)s);

-- name: candidates
-- Every active agent: how active at this hour of the company's day, whether it likes %(format)s then, what it remembers.
select
  agent.id,
  coalesce(schedule.activity_weight, usual.activity_weight)::float8,
  %(format)s = any (coalesce(schedule.preferred_formats, usual.preferred_formats)),
  (
    select count(*)
    from ops_agent_memory as memory
    where memory.agent_id = agent.id
      and memory.superseded_by is null
      and not (memory.simulated and ops_real_calls_began())
  )
from (
  select extract(hour from ops_now() at time zone ops_company_timezone())::integer as hour
  offset 0
) as clock
cross join lateral ops_default_hours(clock.hour) as usual
cross join ops_agents as agent
left join ops_agent_schedules as schedule
  on schedule.agent_id = agent.id
  and schedule.hour = clock.hour
where agent.active
order by agent.id;

-- name: fresh_matters
-- What happened in the last week that is worth talking about: kind (failure or insight) and text, the latest first.
(
  select 'failure', mission.title
  from ops_missions as mission
  where mission.status = 'failed'
    and mission.completed_at > ops_now() - interval '7 days'
    and not (ops_mission_is_simulated(mission) and ops_real_calls_began())
  order by mission.completed_at desc
  limit 20
)
union all
(
  select 'insight', memory.content
  from ops_agent_memory as memory
  where memory.type = 'insight'
    and memory.superseded_by is null
    and memory.confidence >= 0.7
    and memory.created_at > ops_now() - interval '7 days'
    and not (memory.simulated and ops_real_calls_began())
  order by memory.created_at desc
  limit 20
);

-- name: used_topics
-- The topics of the conversations of the last %(days)s days.
select distinct talk.topic
from ops_roundtable_queue as talk
where talk.created_at > ops_now() - make_interval(secs => 86400 * %(days)s::float8)
  and talk.topic is not null
  and talk.distils is null;

-- name: remembered
-- Of each of %(agents)s and each type: how many active memories, how sure on average, which tag most often.
select
  memory.agent_id,
  memory.type,
  count(*),
  avg(memory.confidence)::float8,
  (
    select tag
    from ops_agent_memory as tagged
    cross join unnest(tagged.tags) as tag
    where tagged.agent_id = memory.agent_id
      and tagged.type = memory.type
      and tagged.superseded_by is null
    group by tag
    order by count(*) desc, tag
    limit 1
  )
from ops_agent_memory as memory
where memory.agent_id = any (%(agents)s)
  and memory.superseded_by is null
  and not (memory.simulated and (select ops_real_calls_began()))
group by memory.agent_id, memory.type
order by memory.agent_id, memory.type;

-- name: distillate
-- What the conversation came to, so far.
select kept.status, kept.raw, kept.problem, kept.result, kept.simulated, kept.created_at
from ops_roundtable_distillates as kept
where kept.conversation_id = %(id)s;

-- name: land
-- All of the distillate has landed, now or before; null when the row does not run under %(token)s any more.
select ops_land_distillate(%(id)s, %(token)s, %(distillate)s::jsonb, %(simulated)s);

-- name: keep_raw
-- The words that could not be read are kept; false when the row does not run under %(token)s any more.
select ops_keep_raw_distillate(%(id)s, %(token)s, %(raw)s, %(problem)s, %(simulated)s);

-- name: say
-- A person's turn.
select ops_say(%(id)s, %(text)s);

-- name: redistill
-- The row that distils the conversation again.
select ops_redistill(%(id)s);

-- name: ask
-- The conversation in which a question is answered.
select ops_ask(question => %(question)s, agent_id => %(agent)s);
