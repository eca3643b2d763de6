-- Three roles with the least that each needs. Applied by `migrate --roles`, and again after every change of the schema in a
-- database that has them, so that a new table or function is never forgotten. Nobody can log in as them until somebody says
-- so: `create role mine login password '…' in role voxyz_reactor`.
--
--   voxyz_reader   sees every row but those that hold secrets, changes nothing
--   voxyz_writer   sees what a reader sees, gives work, retries and cancels, says what became of results and what people think
--                  of them; decides nothing
--   voxyz_reactor  what a reactor and its page do: rows of every table but those only `migrate` writes, every function;
--                  no table, no role, no migration
--
-- Secrets are the key that signs webhooks, answers kept for requests sent twice, links that sign in, and policy `notify`, whose
-- URL is one with Slack and Discord.

do $$
declare
  wanted text;
begin
  foreach wanted in array array['voxyz_reader', 'voxyz_writer', 'voxyz_reactor'] loop
    if not exists (select from pg_roles as role where role.rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception
        when duplicate_object or unique_violation then
          null;  -- another database of this server was faster
      end;
    end if;
  end loop;
end
$$;

grant usage on schema public to voxyz_reader, voxyz_writer, voxyz_reactor;

do $$
declare
  object record;
begin
  execute format('grant connect on database %I to voxyz_reader, voxyz_writer, voxyz_reactor', current_database());

  -- Tables and views, each with the policies that let these roles see its rows. A policy is made once: to make one anew would
  -- lock a table that is in use.
  for object in
    select
      class.relname as name,
      class.relkind in ('r', 'p') as is_table,
      class.relname in ('ops_webhook_key', 'ops_idempotent_requests', 'ops_login_links') as is_secret,
      class.relname in (
        'ops_webhook_key', 'ops_migrations', 'ops_generation', 'ops_schema_objects', 'ops_guarded'
      ) as is_fixed,
      class.relname in ('ops_policy', 'ops_policy_history') as has_secrets,
      array(select policy.polname::text from pg_policy as policy where policy.polrelid = class.oid) as policies
    from pg_class as class
    where class.relnamespace = 'public'::regnamespace
      and class.relkind in ('r', 'p', 'v')
      and class.relname ~ '^(ops|v)_'
  loop
    execute format('revoke all on %I from voxyz_reader, voxyz_writer, voxyz_reactor', object.name);
    execute format('grant select on %I to voxyz_reactor', object.name);
    if not object.is_secret then
      execute format('grant select on %I to voxyz_reader, voxyz_writer', object.name);
    end if;
    continue when not object.is_table;

    if not object.is_fixed then
      execute format('grant insert, update, delete on %I to voxyz_reactor', object.name);
    end if;
    if not 'voxyz_reactor_all' = any (object.policies) then
      execute format('create policy voxyz_reactor_all on %I to voxyz_reactor using (true) with check (true)', object.name);
    end if;
    if not object.is_secret and not 'voxyz_reader_sees' = any (object.policies) then
      execute format(
        'create policy voxyz_reader_sees on %I for select to voxyz_reader, voxyz_writer using (%s)',
        object.name,
        case when object.has_secrets then $sql$key <> 'notify'$sql$ else 'true' end
      );
    end if;
  end loop;

  for object in
    select proc.oid::regprocedure as name, proc.provolatile <> 'v' as only_looks
    from pg_proc as proc
    where proc.pronamespace = 'public'::regnamespace
      and proc.proname ~ '^ops_'
  loop
    execute format('revoke all on function %s from voxyz_reader, voxyz_writer, voxyz_reactor', object.name);
    execute format('grant execute on function %s to voxyz_reactor', object.name);
    if object.only_looks then
      execute format('grant execute on function %s to voxyz_reader, voxyz_writer', object.name);
    end if;
  end loop;

  for object in
    select class.relname as name
    from pg_class as class
    where class.relnamespace = 'public'::regnamespace
      and class.relkind = 'S'
      and class.relname ~ '^ops_'
  loop
    execute format('grant usage, select on sequence %I to voxyz_reactor', object.name);
  end loop;
end
$$;

-- A writer says what is to be done, by whom and when; status, outcome and claim are not his. He must see what he inserted.
grant insert (mission_id, seq, kind, agent_id, payload, priority, run_at, max_attempts) on ops_mission_steps to voxyz_writer;
grant insert (format, topic, participants, priority, run_at, max_attempts) on ops_roundtable_queue to voxyz_writer;
grant insert (agent_id, trigger_reason, priority, run_at, max_attempts) on ops_initiative_queue to voxyz_writer;

do $$
declare
  queue text;
begin
  foreach queue in array array['ops_mission_steps', 'ops_roundtable_queue', 'ops_initiative_queue'] loop
    if not exists (
      select
      from pg_policy as policy
      where policy.polrelid = queue::regclass
        and policy.polname = 'voxyz_writer_gives'
    ) then
      execute format('create policy voxyz_writer_gives on %I for insert to voxyz_writer with check (true)', queue);
    end if;
  end loop;
end
$$;

-- The doors that do more than insert a row: they run as their owner, and check what they are given.
grant execute on function ops_enqueue_mission(text, jsonb, text, integer) to voxyz_writer;
grant execute on function ops_propose(text, text, jsonb, text, text, text) to voxyz_writer;
grant execute on function ops_retry(text, bigint) to voxyz_writer;
grant execute on function ops_cancel(text, bigint) to voxyz_writer;
grant execute on function ops_record_outcome(bigint, text, double precision) to voxyz_writer;
grant execute on function ops_thumbs(text, bigint, boolean, text, integer) to voxyz_writer;
