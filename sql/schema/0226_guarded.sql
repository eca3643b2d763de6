-- Where default privileges grant on every new object (Supabase's do, to anon and authenticated), ours are taken back once.

create table ops_guarded (
  object oid not null,
  guarded_at timestamptz not null default now(),
  constraint ops_guarded_pkey primary key (object)
);

alter table ops_guarded enable row level security;

comment on table ops_guarded is
  'Objects whose rights were taken from anon and authenticated when they were new; what is granted later is meant, and stays.';
