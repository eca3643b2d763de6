-- name: influence
-- The memories that go into the agent's prompts in this context, the best first; rolled at the first look.
select
  memory.id,
  memory.agent_id,
  memory.type,
  memory.content,
  memory.confidence,
  memory.tags,
  memory.source_trace_id,
  memory.superseded_by,
  memory.pinned,
  memory.trust,
  memory.used_count,
  memory.simulated,
  memory.created_at
from ops_memory_influence(%(agent)s::text, %(context)s::text, %(id)s::bigint) as memory;

-- name: remember
-- The id of the memory that says this, new or known already.
select ops_remember(
  %(agent)s::text,
  %(type)s::text,
  %(content)s::text,
  %(confidence)s::float8,
  %(tags)s::text[],
  %(trace)s::text,
  %(simulated)s::boolean,
  %(trust)s::text
);

-- name: memories
-- Up to %(limit)s memories of one agent, active ones only unless %(all)s, of %(type)s or of any type; pinned first, then the newest.
select
  memory.id,
  memory.agent_id,
  memory.type,
  memory.content,
  memory.confidence,
  memory.tags,
  memory.source_trace_id,
  memory.superseded_by,
  memory.pinned,
  memory.trust,
  memory.used_count,
  memory.simulated,
  memory.created_at
from ops_agent_memory as memory
where memory.agent_id = %(agent)s
  and (%(all)s::boolean or memory.superseded_by is null)
  and (%(type)s::text is null or memory.type = %(type)s)
order by memory.superseded_by is not null, memory.pinned desc, memory.id desc
limit %(limit)s;

-- name: memory
-- One memory.
select
  memory.id,
  memory.agent_id,
  memory.type,
  memory.content,
  memory.confidence,
  memory.tags,
  memory.source_trace_id,
  memory.superseded_by,
  memory.pinned,
  memory.trust,
  memory.used_count,
  memory.simulated,
  memory.created_at
from ops_agent_memory as memory
where memory.id = %(id)s;

-- name: edit
-- The memory says what a person wants it to say; null leaves a field as it is.
select ops_edit_memory(
  memory_id => %(id)s,
  pinned => %(pinned)s::boolean,
  content => %(content)s::text,
  confidence => %(confidence)s::float8,
  tags => %(tags)s::text[]
);

-- name: forget
-- The memory is gone.
select ops_forget(%(id)s);

-- name: thumbs
-- The memory that a person's thumb, up or down, has become.
select ops_thumbs(%(what)s, %(id)s, %(up)s, %(reason)s, %(turn)s);
