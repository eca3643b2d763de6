-- What a call may take, what may be spent, and what it costs.

insert into ops_policy (key, description, shape, value)
values
  (
    'llm_limits',
    'Tokens a call may answer with, by purpose, and tokens a prompt may have (input); seconds a call may take; calls at once in a'
    ' process, and with one API key over all reactors (concurrency_per_key; null: no limit); requests a minute over all reactors.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "turn": {"type": "integer", "minimum": 16, "maximum": 64000},
        "distil": {"type": "integer", "minimum": 16, "maximum": 64000},
        "initiative": {"type": "integer", "minimum": 16, "maximum": 64000},
        "step": {"type": "integer", "minimum": 16, "maximum": 64000},
        "write_content": {"type": "integer", "minimum": 16, "maximum": 64000},
        "input": {"type": "integer", "minimum": 500, "maximum": 500000},
        "timeout_s": {"type": "number", "minimum": 1, "maximum": 600},
        "concurrency": {"type": "integer", "minimum": 1, "maximum": 10000},
        "concurrency_per_key": {"type": ["integer", "null"], "minimum": 1, "maximum": 10000},
        "requests_per_minute": {"type": "integer", "minimum": 1, "maximum": 100000}
      }
    }',
    '{
      "turn": 160, "distil": 1500, "initiative": 800, "step": 1200, "write_content": 2000, "input": 12000,
      "timeout_s": 60, "concurrency": 4, "requests_per_minute": 45
    }'
  ),
  (
    'llm_budget',
    'What may be spent on the language model, in USD; null: no limit. Work that no person asked for stops where reserve_for_human'
    ' (a share of the day and the month) begins.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "per_day_usd": {"type": ["number", "null"], "minimum": 0, "maximum": 100000},
        "per_month_usd": {"type": ["number", "null"], "minimum": 0, "maximum": 1000000},
        "per_agent_day_usd": {"type": ["number", "null"], "minimum": 0, "maximum": 100000},
        "per_mission_usd": {"type": ["number", "null"], "minimum": 0, "maximum": 100000},
        "reserve_for_human": {"type": "number", "minimum": 0, "maximum": 1}
      }
    }',
    '{
      "per_day_usd": 0.25, "per_month_usd": 5.00, "per_agent_day_usd": null, "per_mission_usd": 0.10,
      "reserve_for_human": 0.3
    }'
  ),
  (
    'llm_prices',
    'USD per million tokens by model, as of a date: the provider''s published list, cache writes kept for five minutes. over: the'
    ' prices of a call whose prompt has more than over_tokens. A model that is not here counts as the dearest that is.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "as_of": {"type": "string", "maxLength": 40},
        "source": {"type": "string", "maxLength": 500},
        "models": {
          "type": "object",
          "additionalProperties": {
            "type": "object",
            "additionalProperties": false,
            "required": ["input", "output"],
            "properties": {
              "input": {"type": "number", "minimum": 0, "maximum": 100000},
              "output": {"type": "number", "minimum": 0, "maximum": 100000},
              "cache_read": {"type": "number", "minimum": 0, "maximum": 100000},
              "cache_write": {"type": "number", "minimum": 0, "maximum": 100000},
              "over_tokens": {"type": "integer", "minimum": 1},
              "over": {
                "type": "object",
                "additionalProperties": false,
                "required": ["input", "output"],
                "properties": {
                  "input": {"type": "number", "minimum": 0, "maximum": 100000},
                  "output": {"type": "number", "minimum": 0, "maximum": 100000},
                  "cache_read": {"type": "number", "minimum": 0, "maximum": 100000},
                  "cache_write": {"type": "number", "minimum": 0, "maximum": 100000}
                }
              }
            }
          }
        }
      }
    }',
    '{
      "as_of": "2026-10-24",
      "source": "https://platform.claude.com/docs/en/about-claude/pricing",
      "models": {
        "claude-haiku-5-5": {"input": 0.1, "output": 0.5, "cache_read": 0.01, "cache_write": 0.125, "over_tokens": 100000, "over": {"input": 0.5, "output": 2.5, "cache_read": 0.05, "cache_write": 0.625}},
        "claude-sonnet-5-5": {"input": 2, "output": 10, "cache_read": 0.1, "cache_write": 2.5},
        "claude-opus-5-5": {"input": 4, "output": 20, "cache_read": 0.2, "cache_write": 5},
        "claude-fable-5-1": {"input": 10, "output": 50, "cache_read": 0.25, "cache_write": 12.5},
        "claude-mythos-5-1": {"input": 10, "output": 50, "cache_read": 0.25, "cache_write": 12.5},
        "claude-fable-5": {"input": 10, "output": 50, "cache_read": 1, "cache_write": 12.5},
        "claude-mythos-5": {"input": 10, "output": 50, "cache_read": 1, "cache_write": 12.5},
        "claude-opus-5": {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25},
        "claude-sonnet-5": {"input": 2, "output": 10, "cache_read": 0.2, "cache_write": 2.5},
        "claude-opus-4-8": {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25},
        "claude-opus-4-7": {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25},
        "claude-opus-4-6": {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25},
        "claude-opus-4-5": {"input": 5, "output": 25, "cache_read": 0.5, "cache_write": 6.25},
        "claude-sonnet-4-6": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75},
        "claude-sonnet-4-5": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75},
        "claude-haiku-4-5": {"input": 1, "output": 5, "cache_read": 0.1, "cache_write": 1.25}
      }
    }'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
