-- What a hand in psql may write without stopping the work of others: counters that can still be counted up, times that can be
-- reckoned with, lists that are lists, and payloads that are as small as they look.

-- A payload copied from a table of one's own may come compressed, and be a thousand times as large when it is claimed: it is
-- weighed unpacked, and its parts of no weight change nothing.
update ops_mission_steps as step
set
  payload = '{}',
  failure_reason = 'the payload was over 1 MiB'
where pg_column_size(step.payload || '{}') > 1048576;

alter table ops_mission_steps
  drop constraint step_payload_is_at_most_1_mib,
  add constraint step_payload_is_at_most_1_mib check (pg_column_size(payload || '{}') <= 1048576);

update ops_trigger_rules as rule
set
  topic_place = rule.topic_place % 1000000,
  fire_count = least(rule.fire_count, 1000000000000000)
where rule.topic_place >= 1000000
  or rule.fire_count > 1000000000000000;

alter table ops_trigger_rules
  add constraint rule_counts_have_room check (topic_place < 1000000 and fire_count <= 1000000000000000);

update ops_agent_memory as memory
set
  tags = array(select tag.name from unnest(memory.tags) as tag (name) where tag.name is not null),
  used_count = least(memory.used_count, 1000000000),
  created_at = case when isfinite(memory.created_at) then memory.created_at else now() end
where array_ndims(memory.tags) > 1
  or array_position(memory.tags, null) is not null
  or memory.used_count > 1000000000
  or not isfinite(memory.created_at);

alter table ops_agent_memory
  add constraint memory_tags_are_a_list
    check (coalesce(array_ndims(tags), 1) = 1 and array_position(tags, null) is null),
  add constraint memory_used_count_has_room check (used_count <= 1000000000),
  add constraint memory_created_at_is_a_date check (isfinite(created_at));

update ops_memory_keepers
set changes = 0
where changes not between 0 and 1000000000000000;

alter table ops_memory_keepers
  add constraint keeper_changes_have_room check (changes between 0 and 1000000000000000);

update ops_proposal_door
set passed = 0
where passed not between 0 and 1000000000000000;

alter table ops_proposal_door
  add constraint door_passed_has_room check (passed between 0 and 1000000000000000);

update ops_circuit_breaker as breaker
set
  state = 'closed',
  failure_count = 0,
  success_count = 0,
  opened_at = null,
  permits = '{}'
where breaker.opened_at not between '2000-01-01' and '9999-01-01'
  or array_position(breaker.permits, null) is not null
  or not '9999-01-01'::timestamptz > all (breaker.permits)
  or not '2000-01-01'::timestamptz <= all (breaker.permits)
  or breaker.failure_count > 1000000000
  or breaker.success_count > 1000000000;

alter table ops_circuit_breaker
  add constraint breaker_opened_at_is_a_date check (opened_at >= '2000-01-01' and opened_at < '9999-01-01'),
  add constraint breaker_permits_are_dates
    check (
      array_position(permits, null) is null
      and '9999-01-01'::timestamptz > all (permits)
      and '2000-01-01'::timestamptz <= all (permits)
    ),
  add constraint breaker_counts_have_room check (failure_count <= 1000000000 and success_count <= 1000000000);

update ops_llm_keys as key
set
  paused_until = least(greatest(key.paused_until, '2000-01-01'), '9998-12-31'),
  times = least(greatest(key.times, 0), 1000000000)
where key.paused_until not between '2000-01-01' and '9998-12-31'
  or key.times not between 0 and 1000000000;

alter table ops_llm_keys
  add constraint key_paused_until_is_a_date check (paused_until >= '2000-01-01' and paused_until < '9999-01-01'),
  add constraint key_times_have_room check (times between 0 and 1000000000);

update ops_llm_spending
set usd = 10000000
where usd > 10000000;

alter table ops_llm_spending
  add constraint spending_has_room check (usd <= 10000000);

update ops_agent_relationships as pair
set
  total_interactions = 0,
  positive_interactions = 0,
  negative_interactions = 0
where pair.total_interactions > 1000000000;

alter table ops_agent_relationships
  add constraint relationship_interactions_have_room check (total_interactions <= 1000000000);

delete from ops_outcomes
where value <> 0
  and abs(value) not between 1e-15 and 1e15;

alter table ops_outcomes
  add constraint outcome_value_can_be_compared check (value = 0 or abs(value) between 1e-15 and 1e15);
