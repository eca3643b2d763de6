"""A little of everything, so that a change of any column meets a row."""

SEEDED = """
insert into ops_workers (id, hostname, pid, version, parts, kinds, liveness_key, state, working)
values
  ('00000000-0000-0000-0000-000000000007', 'here', 7, '0', '{mission}', '{noop,analyze}', 0, 'ready', true),
  ('00000000-0000-0000-0000-000000000009', 'there', 9, '0', '{mission}', '{noop}', 0, 'stopped', false);
insert into ops_step_kinds (kind) values ('noop'), ('analyze')
on conflict on constraint ops_step_kinds_pkey do nothing;

select ops_enqueue_mission('one', '[{"kind": "noop"}, {"kind": "noop"}]', 'sage');
select ops_enqueue_mission('two', '[{"kind": "analyze", "agent_id": "scout", "payload": {"topic": "x"}}, {"kind": "noop"}]');
insert into ops_missions (title) values ('three');
insert into ops_mission_steps (mission_id, kind, hold) values (3, 'noop', null), (3, 'webhook', null);
insert into ops_mission_steps (kind) values ('noop'), ('nobodys');
insert into ops_mission_steps (kind, hold) values ('webhook', 'approval');
insert into ops_mission_steps (kind, status, claimed_by, claim_token, started_at)
values ('noop', 'running', '00000000-0000-0000-0000-000000000007', gen_random_uuid(), now());
insert into ops_mission_steps (kind, agent_id, status, completed_at, result)
values ('analyze', 'sage', 'succeeded', now(), '{"text": "done", "lesson": "look twice"}');

insert into ops_roundtable_queue (format, topic, participants) values ('standup', 'tea', '{minion,sage,scout,quill}');
insert into ops_roundtable_queue (format, status, completed_at, plan, result)
values ('debate', 'succeeded', now(), '{}', '{"summary": "x"}');
insert into ops_roundtable_turns (conversation_id, turn, speaker, dialogue)
values (2, 1, 'sage', 'well'), (2, 2, 'human', 'hm');
insert into ops_roundtable_distillates (conversation_id, status) values (2, 'landed');
insert into ops_initiative_queue (agent_id, trigger_reason) values ('sage', 'because');
insert into ops_initiative_queue (agent_id, status, completed_at) values ('scout', 'succeeded', now() - interval '2 days');

select ops_remember('sage', 'insight', 'tea at four keeps everybody calm', .9, '{tea,calm,noon}', 'roundtable:1:1');
select ops_remember('sage', 'lesson', 'calm people drink their tea late', .8, '{tea,calm}', 'mission:1');
select ops_remember('minion', 'pattern', 'mondays are loud', .7, '{days}', 'roundtable:1:2');
update ops_agent_memory set superseded_by = null where id = 1;
delete from ops_agent_memory where source_trace_id like 'promotion:%';
insert into ops_memory_confirmations (agent_id, source_trace_id, memory_id) values ('sage', 'x:1', 1);
insert into ops_memory_influences (agent_id, context_type, context_id, rolled, probability, influenced, memory_ids)
values ('sage', 'mission', 1, .1, .3, true, '{1}'), ('minion', 'mission', 1, .9, .3, false, '{}');
insert into ops_outcomes (step_id, metric, value, agent_id)
select step.id, 'likes', step.id * step.id, 'sage' from ops_mission_steps as step;
select ops_apply_drift('sage', 'minion', 0.02, 'a good talk', 'talk:1');

select ops_propose('sage', 'an idea', '[{"kind": "webhook", "payload": {"url": "https://example.com"}}]', 'agent');
select ops_propose('scout', 'another', '[{"kind": "analyze", "payload": {"topic": "x"}}]', 'agent');
insert into ops_mission_proposals (agent_id, title, steps, expires_at)
values ('nobody', 'a stranger''s', '[{"kind": "noop"}]', now() - interval '1 hour');

insert into ops_circuit_breaker (service, state, opened_at, permits)
values ('shut', 'open', now(), '{}'), ('ajar', 'half_open', now() - interval '1 hour', array[now()]);
insert into ops_llm_keys (service, key_print) values ('anthropic', 'KEY_PRINT');
insert into ops_llm_calls (lapses_at, day, service, provider, key_print, model, purpose, agent_id)
values (now() + interval '1 minute', now(), 'anthropic', 'anthropic', 'KEY_PRINT', 'm', 'turn', 'sage');
insert into ops_llm_calls (lapses_at, day, service, provider, model, purpose, outcome, settled_at)
values (now(), now(), 'anthropic', 'anthropic', 'm', 'turn', 'ok', now());
insert into ops_llm_spending (scope, since) values ('day', now()), ('month', date_trunc('month', now()))
on conflict on constraint ops_llm_spending_pkey do nothing;

select ops_set_policy('notify', '{"url": "https://example.com/hook"}');
insert into ops_agent_events (kind, agent_id, title, tags, metadata)
values
  ('mission_failed', 'sage', 'lost', '{mission}', '{"mission_id": 1}'),
  ('step_succeeded', 'sage', 'write_content', '{step,write_content}', '{"step_id": 1, "mission_id": 1}');
insert into ops_notice_clocks (topic, last_at) values ('mission_failed', now() - interval '1 day');
insert into ops_digests (day, facts) values (now()::date - 3, '{}');
update ops_trigger_rules set next_due_at = now() where mode <> 'event' and name < 'p';
insert into ops_trigger_firings (rule_id, event_id, rolled, probability, created_at)
select rule.id, 1, .5, .5, now() from ops_trigger_rules as rule order by rule.id limit 1;
insert into ops_agent_reactions (reaction, event_id, agent_id, rolled, probability, created_at)
values ('x', 1, 'zoe', .5, .5, now());
insert into ops_trigger_inbox (event_id) values (1), (999999)
on conflict on constraint ops_trigger_inbox_pkey do nothing;
insert into ops_heartbeat_parts (part, next_at) values ('rules', now());
insert into ops_action_runs (part, status, started_at) values ('rules', 'succeeded', now());
insert into ops_slot_occurrences (slot_id, due_at, outcome, rolled, probability, taken_at)
select slot.id, now() - interval '1 day', 'not_chosen', .9, .5, now() from ops_conversation_slots as slot limit 1;
insert into ops_idempotent_requests (key, request) values ('k', repeat('a', 64));
insert into ops_queue_slots (queue, row_id, claim_token) values ('mission', 1, gen_random_uuid());
insert into ops_firsts (what) values ('a_thing');
"""
