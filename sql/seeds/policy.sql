-- One documented key each. A value that a person changed stays; description and shape follow the program.

insert into ops_policy (key, description, shape, value)
values
  (
    'company',
    'Who all this is done for; opens every prompt. Empty: a plain default is used.',
    '{
      "type": "object",
      "maxLength": 2000,
      "additionalProperties": false,
      "properties": {
        "name": {"type": "string", "maxLength": 200},
        "what": {"type": "string", "maxLength": 800},
        "customers": {"type": "string", "maxLength": 400},
        "goals": {"type": "array", "maxItems": 10, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
        "tone": {"type": "string", "maxLength": 200},
        "never": {"type": "array", "maxItems": 10, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
        "timezone": {"type": "string", "maxLength": 64}
      }
    }',
    '{}'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
