-- What the provider says of a key: that it is refused, that it is used too much, that it works again.

create or replace function ops_llm_key_heard(call ops_llm_calls, went_well boolean, pause text, pause_s double precision)
returns table (line text)
language plpgsql
set search_path = public, pg_temp
as $$
#variable_conflict use_column
declare
  used_key ops_llm_keys;
  already_paused boolean;
  resumes_at timestamptz;
  remedy constant text := format(
    'give its account credit, then `voxyz-reactor breaker reset %s`; or set another ANTHROPIC_API_KEY and start the reactor again',
    call.service
  );
begin
  if pause is null and not (
    went_well
    and exists (
      select
      from ops_llm_keys as known
      where (known.service, known.key_print) = (call.service, call.key_print)
        and (known.times > 0 or known.told_at is not null)
    )
  ) then
    return;
  end if;
  select known.*
  into used_key
  from ops_llm_keys as known
  where (known.service, known.key_print) = (call.service, call.key_print)
  for no key update;
  if pause is null then
    -- An answer that left before the others were refused does not lift their pause.
    if used_key.paused_until is null or used_key.paused_until <= ops_now() then
      update ops_llm_keys as known
      set paused_until = null, reason = null, times = 0, told_at = null
      where (known.service, known.key_print) = (call.service, call.key_print);
    end if;
    return;
  end if;
  -- Those in flight together are refused together: that is one pause.
  already_paused := coalesce(used_key.paused_until > ops_now(), false);
  resumes_at := ops_now() + least(
    greatest(
      coalesce(
        pause_s,
        case pause
          when 'key_refused' then 600
          else least(60, 5 * 2 ^ least(used_key.times - already_paused::integer, 4))
        end
      ),
      0.1
    ),
    3600
  ) * interval '1 second';
  update ops_llm_keys as known
  set
    paused_until = greatest(known.paused_until, resumes_at),
    reason = ops_llm_key_heard.pause,
    times = known.times + (not already_paused)::integer,
    told_at = case pause when 'key_refused' then coalesce(known.told_at, ops_now()) else known.told_at end
  where (known.service, known.key_print) = (call.service, call.key_print);
  perform pg_notify('ops_control', 'breaker');
  if pause = 'key_refused' and used_key.told_at is null then
    insert into ops_agent_events (kind, title, summary, tags, metadata)
    values (
      'key_refused',
      call.service,
      format('The provider refuses the key: %s. It is tried now and then.', remedy),
      array['llm', 'key'],
      jsonb_build_object('service', call.service, 'key_print', call.key_print)
    );
    return query select format('key refused: %s', remedy);
  end if;
end
$$;

comment on function ops_llm_key_heard(ops_llm_calls, boolean, text, double precision) is
  'The key is paused on all reactors, or free again after a call that went well. That it is refused is said once.';

create or replace function ops_llm_try_refused_keys(service text)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
begin
  update ops_llm_keys as known
  set paused_until = null, reason = null
  where known.service = ops_llm_try_refused_keys.service
    and known.reason = 'key_refused';
  if not found then
    return false;
  end if;
  perform pg_notify('ops_control', 'breaker');
  return true;
end
$$;

comment on function ops_llm_try_refused_keys(text) is
  'Keys of the service that were refused are tried again at once: somebody gave their account credit. What the provider asked'
  ' to wait for is waited for. True when there was one.';
