-- Nobody but the owner sees or does anything unless it is granted: row-level security on every table,
-- no execute for public on any function. Applied again after every change, so that a new object is never forgotten.

do $$
declare
  object record;
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
end
$$;
