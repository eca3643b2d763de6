-- How memory gets into work, and when it is enough for an idea of one's own.

insert into ops_policy (key, description, shape, value)
values
  (
    'memory_influence',
    'How often an agent''s memories go into its work: one roll for each agent and conversation, mission or initiative; at'
    ' most so many memories, of at least this confidence.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "max_memories_per_prompt": {"type": "integer", "minimum": 0, "maximum": 50},
        "min_confidence": {"type": "number", "minimum": 0, "maximum": 1}
      }
    }',
    '{"probability": 0.30, "max_memories_per_prompt": 5, "min_confidence": 0.6}'
  ),
  (
    'initiative_limits',
    'When an agent is asked to propose something of its own: with so many memories of at least this confidence, so long'
    ' after the last time, so often a day.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "min_memories": {"type": "integer", "minimum": 0, "maximum": 1000},
        "min_confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "cooldown_s": {"type": "number", "minimum": 0, "maximum": 31536000},
        "per_agent_day": {"type": "integer", "minimum": 0, "maximum": 1000}
      }
    }',
    '{"min_memories": 5, "min_confidence": 0.6, "cooldown_s": 14400, "per_agent_day": 1}'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
