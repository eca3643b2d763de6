-- What goes out of the house: the key that signs it, and what people are told.

create table ops_webhook_key (
  name text not null,
  secret text not null,
  created_at timestamptz not null default now(),
  constraint ops_webhook_key_pkey primary key (name),
  constraint there_is_one_key check (name = 'webhooks'),
  constraint webhook_secret_is_long check (secret ~ '^whsec_[A-Za-z0-9+/]{32,88}={0,2}$')
);

comment on table ops_webhook_key is 'The secret that every webhook and notice is signed with; whoever receives them checks it with the same one.';

insert into ops_webhook_key (name, secret)
select
  'webhooks',
  'whsec_' || encode(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'), 'base64');

create table ops_notices (
  id bigint generated always as identity,
  topic text not null,
  event_id bigint,
  title text not null,
  body text,
  simulated boolean not null default false,
  step_id bigint,
  created_at timestamptz not null default now(),
  constraint ops_notices_pkey primary key (id),
  constraint notice_topic_is_short check (length(topic) between 1 and 63),
  constraint notice_title_is_short check (length(title) <= 500),
  constraint notice_body_is_short check (length(body) <= 4000)
);

comment on table ops_notices is 'What people are to be told; step_id is the step that took it along, null while nobody has.';

create index ops_notices_open_idx
  on ops_notices (topic, id)
  where step_id is null;

create index ops_notices_step_idx
  on ops_notices (step_id)
  where step_id is not null;

create table ops_notice_clocks (
  topic text not null,
  last_at timestamptz not null,
  constraint ops_notice_clocks_pkey primary key (topic)
);

comment on table ops_notice_clocks is 'When people were last told about a topic.';

create table ops_digests (
  day date not null,
  facts jsonb not null,
  created_at timestamptz not null default now(),
  constraint ops_digests_pkey primary key (day)
);

comment on table ops_digests is 'One line a day of the company: what was done, failed, learned, waits, and what it cost.';
