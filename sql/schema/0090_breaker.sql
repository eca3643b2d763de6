-- One circuit breaker for each service outside that calls may fail at.

create table ops_circuit_breaker (
  service text not null,
  state text not null default 'closed',
  failure_count integer not null default 0,
  success_count integer not null default 0,
  failure_threshold integer not null default 5,
  success_threshold integer not null default 3,
  open_seconds double precision not null default 900,
  permit_seconds double precision not null default 120,
  opened_at timestamptz,
  permits timestamptz[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint ops_circuit_breaker_pkey primary key (service),
  constraint breaker_service_is_a_name check (service ~ '^[a-z0-9][a-z0-9._:-]{0,252}$'),
  constraint breaker_state_is_known check (state in ('closed', 'open', 'half_open')),
  constraint breaker_counts_are_not_negative check (failure_count >= 0 and success_count >= 0),
  constraint breaker_thresholds_are_sane
    check (failure_threshold between 1 and 10000 and success_threshold between 1 and 1000),
  constraint breaker_open_seconds_is_sane check (open_seconds between 0 and 31536000),
  constraint breaker_permit_seconds_is_sane check (permit_seconds between 0 and 86400),
  constraint breaker_not_closed_was_opened
    check (state = 'closed' or (opened_at is not null and isfinite(opened_at))),
  constraint breaker_half_open_is_within_its_threshold
    check (
      state <> 'half_open'
      or (success_count < success_threshold and success_count + cardinality(permits) <= success_threshold)
    )
);

comment on table ops_circuit_breaker is
  'Services whose failures are counted. A further one, such as a webhook''s host, begins with an insert of its name.';
comment on column ops_circuit_breaker.failure_count is 'Consecutive failures while closed.';
comment on column ops_circuit_breaker.success_count is 'Successes against a permit since it became half_open.';
comment on column ops_circuit_breaker.open_seconds is 'While open no call is allowed until opened_at + open_seconds.';
comment on column ops_circuit_breaker.permits is
  'When each permit of the half_open state was given; it lapses permit_seconds later unless reported before.';
