-- Conversations: how many, how long a turn, what may come of them.

insert into ops_policy (key, description, shape, value)
values
  (
    'roundtable_policy',
    'Conversations: how many a day beside those people ask for, characters of a turn, proposals a day from formal ones, days'
    ' until a topic may come again, days between two talks that a relationship brings about, who opens formal ones.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "max_per_day": {"type": "integer", "minimum": 0, "maximum": 1000},
        "turn_chars": {"type": "integer", "minimum": 40, "maximum": 2000},
        "action_items_per_day": {"type": "integer", "minimum": 0, "maximum": 1000},
        "topic_unused_days": {"type": "number", "minimum": 0, "maximum": 365},
        "pair_talk_days": {"type": "number", "minimum": 0, "maximum": 365},
        "coordinator": {"type": "string", "maxLength": 63}
      }
    }',
    '{
      "max_per_day": 10,
      "turn_chars": 120,
      "action_items_per_day": 3,
      "topic_unused_days": 7,
      "pair_talk_days": 3,
      "coordinator": "minion"
    }'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
