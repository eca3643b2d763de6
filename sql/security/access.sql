-- Nobody but the owner sees or does anything unless it is granted: row-level security on every table,
-- no execute for public on any function. Applied again after every change, so that a new object is never forgotten.
--
-- On Supabase the default privileges of schema public grant everything on a new object to the roles of its API. Ours are taken
-- back from anon and authenticated, once an object: what is granted to them later is meant. The policy that lets them see
-- nothing says the same as none at all, to people and to linters.

do $$
declare
  object record;
  api record;
begin
  for object in
    select class.oid::regclass as name
    from pg_class as class
    where class.relnamespace = 'public'::regnamespace
      and class.relkind in ('r', 'p')
      and class.relname ~ '^ops_'
      and not class.relrowsecurity
  loop
    execute format('alter table %s enable row level security', object.name);
  end loop;

  for object in
    select proc.oid::regprocedure as name
    from pg_proc as proc
    where proc.pronamespace = 'public'::regnamespace
      and proc.proname ~ '^ops_'
      and (proc.proacl is null or exists (select from aclexplode(proc.proacl) as entry where entry.grantee = 0))
  loop
    execute format('revoke execute on function %s from public', object.name);
  end loop;

  for api in
    select string_agg(quote_ident(role.rolname), ', ') as roles
    from pg_roles as role
    where role.rolname in ('anon', 'authenticated')
    having count(*) > 0
  loop
    for object in
      select class.oid, class.oid::regclass as name, class.relkind as kind
      from pg_class as class
      where class.relnamespace = 'public'::regnamespace
        and (
          class.relkind in ('r', 'p', 'S') and class.relname ~ '^ops_'
          or class.relkind = 'v' and class.relname ~ '^v_' and exists (
            select
            from pg_rewrite as rule
            join pg_depend as tie on tie.classid = 'pg_rewrite'::regclass and tie.objid = rule.oid
            join pg_class as table_used on table_used.oid = tie.refobjid
            where rule.ev_class = class.oid
              and table_used.relkind = 'r'
              and table_used.relname ~ '^ops_'
          )
        )
        and not exists (select from ops_guarded as guarded where guarded.object = class.oid)
    loop
      execute format(
        'revoke all on %s %s from %s',
        case when object.kind = 'S' then 'sequence' else 'table' end,
        object.name,
        api.roles
      );
      if object.kind in ('r', 'p') then
        execute format('create policy ops_closed on %s to %s using (false)', object.name, api.roles);
      end if;
      insert into ops_guarded (object) values (object.oid);
    end loop;

    for object in
      select proc.oid, proc.oid::regprocedure as name
      from pg_proc as proc
      where proc.pronamespace = 'public'::regnamespace
        and proc.proname ~ '^ops_'
        and not exists (select from ops_guarded as guarded where guarded.object = proc.oid)
    loop
      execute format('revoke execute on function %s from %s', object.name, api.roles);
      insert into ops_guarded (object) values (object.oid);
    end loop;
  end loop;
end
$$;
