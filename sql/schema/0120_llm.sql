-- The books of the language model: every call, what was spent, and which key may not call for a while.

create table ops_llm_calls (
  id bigint generated always as identity,
  created_at timestamptz not null default now(),
  lapses_at timestamptz not null,
  settled_at timestamptz,
  day date not null,
  service text not null,
  provider text not null,
  key_print text not null default '',
  model text not null,
  purpose text not null,
  agent_id text,
  mission_id bigint,
  work text,
  by_human boolean not null default false,
  simulated boolean not null default false,
  unpriced boolean not null default false,
  outcome text not null default 'reserved',
  reserved_usd numeric(14,8) not null default 0,
  cost_usd numeric(14,8) not null default 0,
  would_cost_usd numeric(14,8) not null default 0,
  input_tokens integer not null default 0,
  output_tokens integer not null default 0,
  cache_read_tokens integer not null default 0,
  cache_write_tokens integer not null default 0,
  latency_ms integer,
  constraint ops_llm_calls_pkey primary key (id),
  constraint call_amounts_are_not_negative
    check (reserved_usd >= 0 and cost_usd >= 0 and would_cost_usd >= 0),
  constraint call_tokens_are_not_negative
    check (
      input_tokens >= 0 and output_tokens >= 0 and cache_read_tokens >= 0 and cache_write_tokens >= 0
    ),
  constraint call_simulated_is_free check (not simulated or cost_usd = 0),
  constraint call_reserved_is_not_settled check ((outcome = 'reserved') = (settled_at is null)),
  constraint call_model_is_short check (length(model) between 1 and 200),
  constraint call_purpose_is_short check (length(purpose) between 1 and 200),
  constraint call_work_is_short check (length(work) <= 300),
  constraint call_outcome_is_short check (length(outcome) between 1 and 63)
);

comment on table ops_llm_calls is 'Every call to a language model, what it used and what it cost; never what was asked or answered.';
comment on column ops_llm_calls.day is 'The company''s day it began on; its budgets are that day''s and that month''s.';
comment on column ops_llm_calls.key_print is 'Which key it was made with: a fingerprint of it, never the key.';
comment on column ops_llm_calls.work is 'What it was for, the same in every attempt: step:7, roundtable:3:turn:2, initiative:5.';
comment on column ops_llm_calls.unpriced is 'Its model has no price in policy llm_prices: counted at the dearest price there is.';
comment on column ops_llm_calls.outcome is
  'reserved while it may still be under way; lapsed when nobody settled it in time; ok; else the name of what went wrong.';
comment on column ops_llm_calls.cost_usd is 'Until it is settled, and when it lapses, the amount reserved.';
comment on column ops_llm_calls.would_cost_usd is 'What it cost, or would have cost had it not been simulated.';

create index ops_llm_calls_created_idx on ops_llm_calls (created_at);

create index ops_llm_calls_open_idx
  on ops_llm_calls (lapses_at)
  where outcome = 'reserved';

create index ops_llm_calls_mission_idx
  on ops_llm_calls (mission_id)
  where mission_id is not null;

create table ops_llm_spending (
  scope text not null,
  name text not null default '',
  since date not null,
  usd numeric(16,8) not null default 0,
  warned_at timestamptz,
  spent_at timestamptz,
  closed_at timestamptz,
  constraint ops_llm_spending_pkey primary key (scope, name, since),
  constraint spending_scope_is_known check (scope in ('day', 'month', 'agent', 'mission'))
);

comment on table ops_llm_spending is
  'What each budget has given out, reservations included: of a day, a month, an agent''s day, a mission (since 2000-01-01).';
comment on column ops_llm_spending.spent_at is 'When work that no person asked for was first refused.';
comment on column ops_llm_spending.closed_at is 'When even what a person asked for was first refused.';

create table ops_llm_keys (
  service text not null,
  key_print text not null,
  paused_until timestamptz,
  reason text,
  times integer not null default 0,
  told_at timestamptz,
  constraint ops_llm_keys_pkey primary key (service, key_print),
  constraint key_reason_is_known check (reason in ('rate_limited', 'key_refused')),
  constraint key_paused_has_a_reason check ((paused_until is null) = (reason is null))
);

comment on table ops_llm_keys is
  'One row a key (by its fingerprint) that calls are made with; whoever reserves a call locks it. While it is paused no'
  ' reactor makes a call with that key.';
comment on column ops_llm_keys.times is 'How often it was paused since a call last went well.';
comment on column ops_llm_keys.told_at is 'When it was said that the key is refused; null again once a call goes well.';
