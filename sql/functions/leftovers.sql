-- Retention, the other part: what only means something while something else is there.

create or replace function ops_prune_leftovers(batch integer)
returns bigint
language plpgsql
set search_path = public, pg_temp
as $$
declare
  gone bigint;
  deleted bigint := 0;
begin
  -- A context's roll is asked for again as long as there is the context, and no longer.
  delete from ops_memory_influences as influence
  using (
    (
      select old.agent_id, old.context_type, old.context_id
      from ops_memory_influences as old
      where old.context_type = 'mission'
        and old.created_at < ops_kept_since('queue_rows')
        and not exists (select from ops_missions as mission where mission.id = old.context_id)
      order by old.created_at
      limit batch
    )
    union all
    (
      select old.agent_id, old.context_type, old.context_id
      from ops_memory_influences as old
      where old.context_type = 'initiative'
        and old.created_at < ops_kept_since('queue_rows')
        and not exists (select from ops_initiative_queue as idea where idea.id = old.context_id)
      order by old.created_at
      limit batch
    )
    union all
    (
      select old.agent_id, old.context_type, old.context_id
      from ops_memory_influences as old
      where old.context_type = 'roundtable'
        and old.created_at < ops_kept_since('transcripts')
        and not exists (select from ops_roundtable_queue as talk where talk.id = old.context_id)
      order by old.created_at
      limit batch
    )
  ) as spent
  where influence.agent_id = spent.agent_id
    and influence.context_type = spent.context_type
    and influence.context_id = spent.context_id;
  get diagnostics gone = row_count;
  deleted := deleted + gone;

  delete from ops_notices as notice
  where notice.id in (
    select old.id
    from (select first.id, first.created_at from ops_notices as first order by first.id limit batch) as old
    where old.created_at < ops_kept_since('events')
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;

  -- Nobody sends the same request again after a week.
  delete from ops_idempotent_requests as request
  where request.key in (
    select old.key
    from ops_idempotent_requests as old
    where old.created_at < ops_now() - interval '7 days'
    order by old.created_at
    limit batch
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;

  delete from ops_login_links as link
  where link.digest in (
    select old.digest
    from ops_login_links as old
    where old.expires_at < ops_now() - interval '1 day'
    order by old.expires_at
    limit batch
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;

  delete from ops_llm_spending as spending
  where (spending.scope, spending.name, spending.since) in (
    select old.scope, old.name, old.since
    from ops_llm_spending as old
    where case old.scope
      when 'mission' then not exists (select from ops_missions as mission where mission.id = old.name::bigint)
      else old.since < ops_kept_since('ledger')::date
    end
    limit batch
  );
  get diagnostics gone = row_count;
  deleted := deleted + gone;

  delete from ops_digests as digest
  where digest.day in (
    select old.day
    from ops_digests as old
    where old.created_at < ops_kept_since('transcripts')
    order by old.day
    limit batch
  );
  get diagnostics gone = row_count;
  return deleted + gone;
end
$$;

comment on function ops_prune_leftovers(integer) is
  'Rolls and budgets of what is gone, old notices, digests, answers to requests and used links are gone, at most so many of each; returns how'
  ' many.';
