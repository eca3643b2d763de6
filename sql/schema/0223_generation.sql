-- Rolling upgrades: which generation of the program may work on this database.
--
-- A schema file that older programs cannot live with begins with the line `-- generation: N`. Before it is applied the
-- minimum here becomes N, which tells every older reactor to drain and leave; `migrate` waits until they have.

create table ops_generation (
  id smallint not null default 1,
  minimum integer not null default 1,
  reason text,
  changed_at timestamptz not null default now(),
  constraint ops_generation_pkey primary key (id),
  constraint generation_is_one_row check (id = 1),
  constraint generation_is_positive check (minimum >= 1),
  constraint generation_reason_is_short check (length(reason) <= 500)
);

alter table ops_generation enable row level security;

comment on table ops_generation is
  'One row: reactors of a generation under the minimum drain and leave, and new ones of it do not start.';

insert into ops_generation (minimum) values (1);

alter table ops_workers
  add column generation integer not null default 1;

comment on column ops_workers.generation is 'Of the program: what ops_generation.minimum is compared with.';
