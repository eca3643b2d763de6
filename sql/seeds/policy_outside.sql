-- What comes in from outside, and what goes out.

insert into ops_policy (key, description, shape, value)
values
  (
    'sources',
    'Pages that scout looks at, each with the tags it is about and how often (such as "3h"); crawling their hosts needs nobody''s'
    ' approval. Empty: off.',
    '{
      "type": "array",
      "maxItems": 200,
      "items": {
        "type": "object",
        "additionalProperties": false,
        "required": ["url"],
        "properties": {
          "url": {"type": "string", "maxLength": 2000, "pattern": "^https?://[^\\s@]+$"},
          "tags": {"type": "array", "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 100}},
          "every": {"type": ["string", "number"], "maxLength": 20, "minimum": 60}
        }
      }
    }',
    '[]'
  ),
  (
    'private_hosts',
    'Places (host:port) in your own network that webhooks and notices may go to, such as an n8n beside the reactor. Pages are never'
    ' fetched from there.',
    '{"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 260, "pattern": "^[a-z0-9.:_\\[\\]-]+:[0-9]{1,5}$"}}',
    '[]'
  ),
  (
    'notify',
    'Who is told what: the URL that gets a POST (empty: nobody), in the words of slack, discord or json, about which events; not in the'
    ' quiet hours, and at most one message in min_interval_s seconds about the same kind of event. digest_at: when the day before is'
    ' summed up, by the company''s clock; empty: never.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "url": {"type": "string", "maxLength": 2000, "pattern": "^(https?://[^\\s@]+)?$"},
        "format": {"type": "string", "enum": ["slack", "discord", "json"]},
        "events": {
          "type": "array",
          "maxItems": 20,
          "items": {
            "type": "string",
            "enum": ["approval_waiting", "budget_80", "budget_out", "breaker_open", "mission_failed", "reactor_gone"]
          }
        },
        "quiet_hours": {
          "type": "object",
          "additionalProperties": false,
          "properties": {
            "from": {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"},
            "to": {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"}
          }
        },
        "min_interval_s": {"type": "number", "minimum": 0, "maximum": 86400},
        "digest_at": {"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9])?$"}
      }
    }',
    '{
      "url": "",
      "format": "json",
      "events": ["approval_waiting", "budget_80", "budget_out", "breaker_open", "mission_failed", "reactor_gone"],
      "quiet_hours": {},
      "min_interval_s": 300,
      "digest_at": "08:00"
    }'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
