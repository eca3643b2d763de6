-- What all reactors together may do.

insert into ops_policy (key, description, shape, value)
values
  (
    'queue_limits',
    'Rows of a queue that may run at once over all reactors; null: as many as the reactors have places for. An example of use is a'
    ' service that takes two requests at a time, whoever asks.',
    '{
      "type": "object",
      "additionalProperties": false,
      "properties": {
        "mission": {"type": ["integer", "null"], "minimum": 1, "maximum": 100000},
        "roundtable": {"type": ["integer", "null"], "minimum": 1, "maximum": 100000},
        "initiative": {"type": ["integer", "null"], "minimum": 1, "maximum": 100000}
      }
    }',
    '{"mission": null, "roundtable": null, "initiative": null}'
  )
on conflict on constraint ops_policy_pkey do update
set
  description = excluded.description,
  shape = excluded.shape
where (ops_policy.description, ops_policy.shape) is distinct from (excluded.description, excluded.shape);
