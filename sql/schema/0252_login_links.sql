-- Links that sign in once: which were used, so that no reactor takes one that another has taken.

create table ops_login_links (
  digest text not null,
  expires_at timestamptz not null,
  used_at timestamptz not null default now(),
  constraint ops_login_links_pkey primary key (digest),
  constraint link_digest_is_a_digest check (digest ~ '^[0-9a-f]{64}$')
);

comment on table ops_login_links is
  'Links of `open` that were used, by a digest that opens nothing; kept until a day after they would have expired.';

create index ops_login_links_expires_idx on ops_login_links (expires_at);
