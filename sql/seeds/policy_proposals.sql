-- What may be proposed, how much of it, and what a person wants to see first.

insert into ops_policy (key, description, shape, value)
values
  (
    'proposal_limits',
    'How many proposals an agent may make a day (rejected ones and people''s do not count), for how many days the same title and'
    ' kinds are a repetition, and how long a chain of causes may be.',
    '{
      "type": "object",
      "additionalProperties": false,
      "required": ["per_agent_day"],
      "properties": {
        "per_agent_day": {"type": "integer", "minimum": 0, "maximum": 100000},
        "same_within_days": {"type": "number", "minimum": 0, "maximum": 365},
        "chain_depth": {"type": "integer", "minimum": 0, "maximum": 20}
      }
    }',
    '{"per_agent_day": 20, "same_within_days": 7, "chain_depth": 3}'
  ),
  (
    'mission_limits',
    'What agents may have under way: active missions at once, steps an agent and day, steps a proposal.',
    '{
      "type": "object",
      "additionalProperties": false,
      "required": ["active", "steps_per_agent_day", "steps_per_proposal_by_agent"],
      "properties": {
        "active": {"type": "integer", "minimum": 0, "maximum": 100000},
        "steps_per_agent_day": {"type": "integer", "minimum": 0, "maximum": 100000},
        "steps_per_proposal_by_agent": {"type": "integer", "minimum": 0, "maximum": 20}
      }
    }',
    '{"active": 10, "steps_per_agent_day": 40, "steps_per_proposal_by_agent": 5}'
  ),
  (
    'step_gates',
    'How many steps of a kind are let in a day, whoever asks; a kind that is not named has no cap.',
    '{
      "type": "object",
      "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 1000000}
    }',
    '{"draft_tweet": 8, "write_content": 8, "webhook": 20, "crawl": 50}'
  ),
  (
    'auto_approve',
    'The kinds that need nobody''s approval; crawl for hosts of policy sources besides, webhook and external kinds never.',
    '{
      "type": "object",
      "additionalProperties": false,
      "required": ["allowed_step_kinds"],
      "properties": {
        "allowed_step_kinds": {
          "type": "array",
          "maxItems": 200,
          "items": {"type": "string", "minLength": 1, "maxLength": 100}
        }
      }
    }',
    '{"allowed_step_kinds": [
      "research", "analyze", "summarize", "review", "diagnose", "plan", "write_content", "draft_tweet"
    ]}'
  ),
  (
    'hold_step_kinds',
    'The kinds that stop for approval when it is their turn; the word external stands for every external kind.',
    '{"type": "array", "maxItems": 200, "items": {"type": "string", "minLength": 1, "maxLength": 100}}',
    '["webhook", "external"]'
  ),
  (
    'approval_expiry',
    'After how many days a pending proposal and a held step count as rejected.',
    '{
      "type": "object",
      "additionalProperties": false,
      "required": ["days"],
      "properties": {"days": {"type": "number", "minimum": 0.001, "maximum": 3650}}
    }',
    '{"days": 7}'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
