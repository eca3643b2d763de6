-- When agents begin things by themselves, what they do about what others did, and how long all of it is kept.

insert into ops_policy (key, description, shape, value)
values
  (
    'quiet_hours',
    'From when to when, by the company''s clock, agents begin nothing; what people ask for is done. Never'
    ' while one of the two is empty, as in {"from": ""}.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "from": {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"},
        "to": {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"}
      }
    }',
    '{}'
  ),
  (
    'schedule',
    'Conversations that came due while nobody ran: skip them, the latest of each slot, or all, within so many seconds.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "catch_up": {"type": "string", "enum": ["skip", "latest", "all"]},
        "catch_up_s": {"type": "number", "minimum": 0, "maximum": 604800}
      }
    }',
    '{"catch_up": "latest", "catch_up_s": 3600}'
  ),
  (
    'reaction_matrix',
    'What agents do about what others did: on an event with all the tags, and one of any_tags if there are some, with this'
    ' probability and not again for so many minutes. Beside the trigger rules, never the same thing.',
    '{
      "type": "array",
      "maxItems": 100,
      "items": {
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "event", "agent", "kinds", "title"],
        "properties": {
          "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$"},
          "event": {"type": "string", "minLength": 1, "maxLength": 63},
          "tags": {"type": "array", "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 100}},
          "any_tags": {"type": "array", "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 100}},
          "agent": {"type": "string", "minLength": 1, "maxLength": 63},
          "kinds": {"type": "array", "maxItems": 5, "items": {"type": "string", "minLength": 1, "maxLength": 100}},
          "title": {"type": "string", "minLength": 1, "maxLength": 300},
          "probability": {"type": "number", "minimum": 0, "maximum": 1},
          "cooldown_minutes": {"type": "number", "minimum": 0, "maximum": 525600}
        }
      }
    }',
    '[
      {
        "name": "scout_weighs_a_post",
        "event": "step_succeeded",
        "tags": ["draft_tweet"],
        "agent": "scout",
        "kinds": ["analyze"],
        "title": "What the post of step {step_id} could bring",
        "probability": 0.3,
        "cooldown_minutes": 120
      },
      {
        "name": "xalt_posts_an_insight",
        "event": "memory_promoted",
        "tags": ["insight"],
        "agent": "xalt",
        "kinds": ["draft_tweet"],
        "title": "A post from what {agent} learnt: {summary}",
        "probability": 0.4,
        "cooldown_minutes": 180
      },
      {
        "name": "quill_rewrites",
        "event": "step_succeeded",
        "tags": ["review"],
        "any_tags": ["verdict:revise", "verdict:reject"],
        "agent": "quill",
        "kinds": ["summarize", "write_content"],
        "title": "Rewrite what the review of step {step_id} found wanting",
        "probability": 1.0,
        "cooldown_minutes": 90
      }
    ]'
  ),
  (
    'retention',
    'After how many days rows are deleted: finished work of the queues, events, the heartbeat''s book, transcripts, the ledger.'
    ' Memories stay for good.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "queue_rows_days": {"type": "number", "minimum": 1, "maximum": 36500},
        "events_days": {"type": "number", "minimum": 1, "maximum": 36500},
        "action_runs_days": {"type": "number", "minimum": 1, "maximum": 36500},
        "transcripts_days": {"type": "number", "minimum": 1, "maximum": 36500},
        "ledger_days": {"type": "number", "minimum": 1, "maximum": 36500}
      }
    }',
    '{"queue_rows_days": 30, "events_days": 30, "action_runs_days": 7, "transcripts_days": 400, "ledger_days": 400}'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
