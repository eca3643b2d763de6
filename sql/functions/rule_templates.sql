-- What a rule proposes is a template: its words and steps are filled with the facts of the event.

create or replace function ops_event_tags(event ops_agent_events)
returns text[]
language sql
stable
set search_path = public, pg_temp
as $$
  select event.tags || array(
    select 'verdict:' || left(step.result ->> 'verdict', 50)
    from ops_mission_steps as step
    where event.kind = 'step_succeeded'
      and step.id = substring(event.metadata ->> 'step_id' from '^[0-9]{1,18}$')::bigint
      and jsonb_typeof(step.result -> 'verdict') = 'string'
  );
$$;

comment on function ops_event_tags(ops_agent_events) is
  'The event''s tags, and for a step that came to a verdict (approve, revise, reject) the tag verdict:<word>.';

create or replace function ops_event_facts(event ops_agent_events)
returns jsonb
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  step ops_mission_steps;
  mission_title text;
begin
  select *
  into step
  from ops_mission_steps as one
  where one.id = substring(event.metadata ->> 'step_id' from '^[0-9]{1,18}$')::bigint;
  select mission.title
  into mission_title
  from ops_missions as mission
  where mission.id = substring(event.metadata ->> 'mission_id' from '^[0-9]{1,18}$')::bigint;
  return jsonb_build_object(
    'event_id', event.id,
    'kind', event.kind,
    'title', left(event.title, 150),
    'summary', left(event.summary, 500),
    'agent', coalesce(event.agent_id, step.result ->> 'agent', 'somebody'),
    'step_id', step.id,
    'mission_id', event.metadata ->> 'mission_id',
    'mission', left(coalesce(mission_title, step.payload ->> 'topic', event.title), 150),
    'text', left(coalesce(step.result ->> 'text', event.summary), 6000),
    'piece', left(step.payload ->> 'text', 6000)
  );
end
$$;

comment on function ops_event_facts(ops_agent_events) is 'What titles and payloads of rules may name in braces.';

create or replace function ops_unbraced(words text)
returns text
language sql
immutable
set search_path = public, pg_temp
return regexp_replace(words, '\{(?=\{)', '{ ', 'g');

comment on function ops_unbraced(text) is 'The words without doubled braces: a step would read those as a template.';

create or replace function ops_fill(template text, facts jsonb)
returns text
language sql
immutable
set search_path = public, pg_temp
as $$
  -- Each place is filled once: what a fact says is never read as a template, neither here nor by the step.
  select coalesce(
    string_agg(
      coalesce(
        part.found[2],
        ops_unbraced(facts ->> part.found[1]),
        case when facts ? part.found[1] then '' else '{' || part.found[1] || '}' end
      ),
      ''
      order by part.place
    ),
    ''
  )
  from regexp_matches(template, '\{([a-z_]{1,30})\}|(\{|[^{]+)', 'g') with ordinality as part (found, place);
$$;

comment on function ops_fill(text, jsonb) is 'The text with every {name} of a fact replaced by the fact.';

create or replace function ops_fill_steps(steps jsonb, facts jsonb)
returns jsonb
language sql
immutable
set search_path = public, pg_temp
as $$
  select coalesce(
    jsonb_agg(
      case
        when jsonb_typeof(step.value -> 'payload') = 'object' then jsonb_set(
          step.value,
          '{payload}',
          (
            select coalesce(
              jsonb_object_agg(
                entry.key,
                case jsonb_typeof(entry.value)
                  when 'string' then to_jsonb(ops_fill(entry.value #>> '{}', facts))
                  else entry.value
                end
              ),
              '{}'
            )
            from jsonb_each(step.value -> 'payload') as entry (key, value)
          )
        )
        else step.value
      end
      order by step.place
    ),
    '[]'
  )
  from jsonb_array_elements(steps) with ordinality as step (value, place);
$$;

comment on function ops_fill_steps(jsonb, jsonb) is 'The steps with the facts filled into the texts of their payloads.';
