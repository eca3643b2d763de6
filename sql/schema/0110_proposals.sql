-- Proposals: the one entry through which agents, rules and conversations come to missions.

create table ops_mission_proposals (
  id bigint generated always as identity,
  agent_id text not null,
  title text not null,
  description text,
  steps jsonb not null,
  source text not null default 'human',
  dedupe_key text,
  status text not null default 'pending',
  rejection_reason text,
  decision jsonb not null default '{}',
  mission_id bigint,
  decided_by text,
  decided_at timestamptz,
  expires_at timestamptz,
  root_id bigint,
  depth smallint not null default 0,
  simulated boolean not null default false,
  normal_title text not null default '',
  kinds text[] not null default '{}',
  created_at timestamptz not null default now(),
  constraint ops_mission_proposals_pkey primary key (id),
  constraint proposal_dedupe_key_is_unique unique (dedupe_key),
  constraint proposal_status_is_known check (status in ('pending', 'accepted', 'rejected')),
  constraint proposal_source_is_known
    check (source in ('human', 'agent', 'trigger', 'reaction', 'conversation', 'initiative')),
  constraint proposal_agent_is_short check (length(agent_id) between 1 and 63),
  constraint proposal_title_is_short check (length(title) between 1 and 500),
  constraint proposal_description_is_short check (length(description) <= 10000),
  constraint proposal_dedupe_key_is_short check (length(dedupe_key) between 1 and 500),
  constraint proposal_steps_are_an_array check (jsonb_typeof(steps) = 'array'),
  constraint proposal_steps_are_at_most_1_mib check (pg_column_size(steps) <= 1048576),
  constraint proposal_rejection_reason_is_short check (length(rejection_reason) <= 4000),
  constraint proposal_decided_by_is_short check (length(decided_by) between 1 and 200),
  constraint proposal_depth_is_bounded check (depth between 0 and 100),
  constraint proposal_accepted_has_a_mission check ((status = 'accepted') = (mission_id is not null)),
  constraint proposal_rejected_has_a_reason check ((status = 'rejected') = (rejection_reason is not null)),
  constraint proposal_pending_is_undecided check ((status = 'pending') = (decided_at is null))
);

comment on table ops_mission_proposals is
  'Work somebody asked for: pending until a person decides, else accepted with its mission or rejected with the reason.';
comment on column ops_mission_proposals.decision is
  'How it was decided: gate, limit, count, policy and its version, and the kinds that wanted a person''s approval.';
comment on column ops_mission_proposals.root_id is 'The event its chain began with; depth is how far down the chain it stands.';
comment on column ops_mission_proposals.simulated is 'The mock stands behind it: it counts for no real limit and never leaves the house.';
comment on column ops_mission_proposals.kinds is 'The kinds of its steps, sorted, each as often as it occurs.';

create index ops_mission_proposals_pending_idx
  on ops_mission_proposals (expires_at)
  where status = 'pending';

-- What an agent has asked for today, and whether it asked for the same before.
create index ops_mission_proposals_agent_idx
  on ops_mission_proposals (agent_id, created_at);

-- What was let in today, kind by kind.
create index ops_mission_proposals_accepted_idx
  on ops_mission_proposals (decided_at)
  where status = 'accepted';

create index ops_mission_proposals_root_idx
  on ops_mission_proposals (root_id)
  where root_id is not null;

-- One row that everybody who counts and lets in must change: so the counts stay true at every isolation level.
create table ops_proposal_door (
  name text not null,
  passed bigint not null default 0,
  constraint ops_proposal_door_pkey primary key (name),
  constraint there_is_one_door check (name = 'proposals')
);

comment on table ops_proposal_door is 'Whoever proposes or approves passes here, one after another.';

insert into ops_proposal_door (name)
values ('proposals');

alter table ops_missions
  add column root_id bigint,
  add column depth smallint not null default 0,
  add column simulated boolean not null default false,
  add constraint mission_depth_is_bounded check (depth between 0 and 100);

comment on column ops_missions.root_id is 'The event its chain began with; null: nobody proposed it.';
comment on column ops_missions.simulated is 'The mock proposed it: nothing of it leaves the house.';

-- A proposal becomes one mission, whatever happens.
create unique index ops_missions_proposal_idx
  on ops_missions (proposal_id)
  where proposal_id is not null;

-- root_id and depth are the mission's, kept on the step too: its events carry them and completions need no join.
alter table ops_mission_steps
  add column root_id bigint,
  add column depth smallint not null default 0,
  add column held_at timestamptz,
  add column released_at timestamptz,
  add column released_by text,
  add column payload_asked jsonb,
  add constraint step_depth_is_bounded check (depth between 0 and 100),
  add constraint step_released_by_is_short check (length(released_by) between 1 and 200);

comment on column ops_mission_steps.held_at is 'Since when it waits for a person''s approval.';
comment on column ops_mission_steps.released_at is 'When a person let it go; without it a step of a held kind does not begin.';
comment on column ops_mission_steps.payload_asked is 'The payload as it was before the person who released the step changed it.';

create index ops_mission_steps_held_idx
  on ops_mission_steps (held_at)
  where hold is not null and status = 'waiting';
