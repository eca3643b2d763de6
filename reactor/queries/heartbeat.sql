-- name: take
-- Whether this part of the heartbeat is ours now, for %(every_s)s seconds.
select ops_take_heartbeat(%(part)s, %(every_s)s);

-- name: now
-- The database's time.
select ops_now();

-- name: note
-- The part did something, or failed: it is in the book.
select ops_note_action(%(part)s, %(started_at)s, %(result)s, %(failure_reason)s);

-- name: take_event
-- The next event of the inbox has been looked at by all rules: its id, proposals made, what went wrong; its kind and chain.
select
  event.event_id,
  event.proposals,
  event.problem,
  source.kind,
  coalesce(source.root_id, source.id)
from ops_take_event() as event
left join ops_agent_events as source
  on source.id = event.event_id;

-- name: fire_timed_rules
-- The timed rules that are due had their turn: those that proposed or failed.
select
  fired.rule,
  fired.proposals,
  fired.problem
from ops_fire_timed_rules() as fired;

-- name: promote
-- How many insights were promoted.
select ops_promote_memories();

-- name: learn
-- How many outcomes became lessons.
select ops_learn_from_outcomes();

-- name: queue_initiatives
-- How many agents were asked for an idea of their own.
select count(*) from ops_queue_initiatives();

-- name: bring_talks
-- How many conversations a relationship brought about.
select count(*) from ops_bring_talks();

-- name: expire
-- How many proposals and held steps nobody decided about in time.
select ops_expire_approvals();

-- name: prune_steps
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_steps(%(after)s, %(batch)s) as pruned;

-- name: prune_missions
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_missions(%(after)s, %(batch)s) as pruned;

-- name: prune_initiatives
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_initiatives(%(after)s, %(batch)s) as pruned;

-- name: prune_roundtables
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_roundtables(%(after)s, %(batch)s) as pruned;

-- name: prune_proposals
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_proposals(%(after)s, %(batch)s) as pruned;

-- name: prune_events
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_events(%(after)s, %(batch)s) as pruned;

-- name: prune_firings
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_firings(%(after)s, %(batch)s) as pruned;

-- name: prune_reactions
-- Rows deleted, and where to go on.
select pruned.deleted, pruned.walked_to from ops_prune_reactions(%(after)s, %(batch)s) as pruned;

-- name: prune_small
-- Rows deleted, at most %(batch)s of each of the small tables.
select ops_prune_small(%(batch)s);

-- name: prune_leftovers
-- Rows deleted, at most %(batch)s of each table.
select ops_prune_leftovers(%(batch)s);

-- name: prune_ledger
-- Rows deleted, at most %(batch)s.
select ops_prune_ledger(%(batch)s);
