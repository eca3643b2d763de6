-- Policies: checked against their shape, merged, versioned, told to every reactor.

create or replace function ops_shape_problem(value jsonb, shape jsonb, path text default 'value')
returns text
language plpgsql
immutable
set search_path = public, pg_temp
as $$
declare
  kind text := jsonb_typeof(value);
  wanted jsonb := shape -> 'type';
  problem text;
  part record;
begin
  if wanted is not null and not (
    case when jsonb_typeof(wanted) = 'array' then wanted else jsonb_build_array(wanted) end
    @> to_jsonb(case when kind = 'number' and (value #>> '{}')::numeric % 1 = 0
      and not (case when jsonb_typeof(wanted) = 'array' then wanted else jsonb_build_array(wanted) end ? 'number')
      then 'integer' else kind end)
  ) then
    return format('%s must be of type %s, not %s', path, wanted #>> '{}', kind);
  end if;
  if shape ? 'enum' and not (shape -> 'enum') @> jsonb_build_array(value) then
    return format('%s must be one of %s', path, shape ->> 'enum');
  end if;
  if kind = 'number' then
    if shape ? 'minimum' and (value #>> '{}')::numeric < (shape ->> 'minimum')::numeric then
      return format('%s must be at least %s', path, shape ->> 'minimum');
    end if;
    if shape ? 'maximum' and (value #>> '{}')::numeric > (shape ->> 'maximum')::numeric then
      return format('%s must be at most %s', path, shape ->> 'maximum');
    end if;
  elsif kind = 'string' then
    if length(value #>> '{}') > coalesce((shape ->> 'maxLength')::integer, 10000) then
      return format('%s must have at most %s characters', path, coalesce(shape ->> 'maxLength', '10000'));
    end if;
    if length(value #>> '{}') < coalesce((shape ->> 'minLength')::integer, 0) then
      return format('%s must have at least %s characters', path, shape ->> 'minLength');
    end if;
    if shape ? 'pattern' and (value #>> '{}') !~ (shape ->> 'pattern') then
      return format('%s must match %s', path, shape ->> 'pattern');
    end if;
  elsif kind = 'array' then
    if jsonb_array_length(value) > coalesce((shape ->> 'maxItems')::integer, 1000) then
      return format('%s must have at most %s elements', path, coalesce(shape ->> 'maxItems', '1000'));
    end if;
    if shape ? 'items' then
      for part in select element.value, element.place from jsonb_array_elements(value) with ordinality as element (value, place) loop
        problem := ops_shape_problem(part.value, shape -> 'items', path || '[' || part.place - 1 || ']');
        exit when problem is not null;
      end loop;
    end if;
  elsif kind = 'object' then
    for part in select key from jsonb_array_elements_text(coalesce(shape -> 'required', '[]')) as key loop
      if not value ? part.key then
        return format('%s.%s is missing', path, part.key);
      end if;
    end loop;
    for part in select entry.key, entry.value from jsonb_each(value) as entry (key, value) loop
      if shape -> 'properties' ? part.key then
        problem := ops_shape_problem(part.value, shape -> 'properties' -> part.key, path || '.' || part.key);
      elsif shape -> 'additionalProperties' = 'false' then
        problem := format(
          '%s.%s is unknown; known are %s',
          path,
          left(part.key, 100),
          (select coalesce(string_agg(key, ', ' order by key), 'none') from jsonb_object_keys(shape -> 'properties') as key)
        );
      elsif jsonb_typeof(shape -> 'additionalProperties') = 'object' then
        problem := ops_shape_problem(part.value, shape -> 'additionalProperties', path || '.' || part.key);
      end if;
      exit when problem is not null;
    end loop;
    if problem is null and shape ? 'maxLength' and (
      select sum(length(said.text #>> '{}'))
      from jsonb_path_query(value, 'strict $.**') as said (text)
      where jsonb_typeof(said.text) = 'string'
    ) > (shape ->> 'maxLength')::integer then
      return format('%s must have at most %s characters in all', path, shape ->> 'maxLength');
    end if;
  end if;
  return problem;
end
$$;

comment on function ops_shape_problem(jsonb, jsonb, text) is
  'Null when the value has the shape, else one sentence that names the field. Shapes are JSON schema:'
  ' type, enum, minimum, maximum, minLength, maxLength, pattern, items, maxItems, properties, required, additionalProperties;'
  ' an object''s maxLength is of all texts in it together.';

create or replace function ops_merge(base jsonb, patch jsonb)
returns jsonb
language plpgsql
immutable
set search_path = public, pg_temp
as $$
begin
  if jsonb_typeof(base) is distinct from 'object' or jsonb_typeof(patch) is distinct from 'object' then
    return patch;
  end if;
  return base || coalesce(
    (select jsonb_object_agg(entry.key, ops_merge(base -> entry.key, entry.value)) from jsonb_each(patch) as entry (key, value)),
    '{}'
  );
end
$$;

comment on function ops_merge(jsonb, jsonb) is
  'The base with the patch laid over it: objects key by key, everything else replaced.';

create or replace function ops_policy_changes()
returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
declare
  problem text := ops_shape_problem(new.value, new.shape, new.key);
begin
  if problem is not null then
    raise exception using errcode = 'OP007', message = problem;
  end if;
  if tg_op = 'UPDATE' then
    new.version := old.version + 1;
    new.updated_at := ops_now();
  end if;
  return new;
end
$$;

comment on function ops_policy_changes() is 'Trigger: a value without the shape of its key raises OP007; a change is a new version.';

create or replace function ops_policy_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  insert into ops_policy_history (key, version, value)
  values (new.key, new.version, new.value);
  perform pg_notify('ops_control', 'policy');
  perform ops_ring_all();
  return null;
end
$$;

comment on function ops_policy_changed() is 'Trigger: the value is in the history, every reactor reads it again and looks for work.';

create or replace function ops_agents_changed()
returns trigger
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
  perform pg_notify('ops_control', 'policy');
  perform ops_ring_all();
  return null;
end
$$;

comment on function ops_agents_changed() is 'Trigger: every reactor reads the agents again and looks for work.';

create or replace function ops_set_policy(key text, patch jsonb)
returns jsonb
language plpgsql
set search_path = public, pg_temp
as $$
declare
  merged jsonb;
begin
  if patch is null then
    raise exception using errcode = 'OP004', message = 'a policy''s value is JSON, not null';
  end if;
  update ops_policy as policy
  set value = ops_merge(policy.value, patch)
  where policy.key = ops_set_policy.key
  returning policy.value into merged;
  if not found then
    raise exception using
      errcode = 'OP003',
      message = format(
        'unknown policy %s; known are %s',
        coalesce(quote_literal(left(ops_set_policy.key, 100)), 'null'),
        (select string_agg(policy.key, ', ' order by policy.key) from ops_policy as policy)
      );
  end if;
  return merged;
end
$$;

comment on function ops_set_policy(text, jsonb) is
  'The policy''s value with the patch merged in, in force everywhere at once; returns it. Raises OP003, OP007.';
