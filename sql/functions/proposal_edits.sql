-- Proposals are changed by people, before they decide. Lock order as in proposals.sql: the door is not passed, for nothing is let in.

create or replace function ops_edit_proposal(
  proposal_id bigint,
  decided_by text,
  title text default null,
  steps jsonb default null
)
returns boolean
language plpgsql
set search_path = public, pg_temp
as $$
declare
  before ops_mission_proposals;
  given ops_mission_proposals;
begin
  perform ops_check_decider(decided_by);
  before := ops_pending_proposal(ops_edit_proposal.proposal_id);
  given := before;
  given.title := coalesce(trim(ops_edit_proposal.title), before.title);
  given.steps := coalesce(ops_edit_proposal.steps, before.steps);
  if given.title = before.title and given.steps = before.steps then
    return false;
  end if;
  perform ops_check_proposal(given.agent_id, given.title, given.steps, given.source, null, null);
  update ops_mission_proposals as mine
  set
    title = given.title,
    steps = given.steps,
    kinds = ops_step_kinds_of(given.steps),
    normal_title = ops_normal_title(given.title),
    decision = mine.decision || jsonb_build_object('to_approve', to_jsonb(ops_kinds_to_approve(given.steps))),
    asked = coalesce(mine.asked, jsonb_build_object('title', before.title, 'steps', before.steps)),
    edited_by = trim(ops_edit_proposal.decided_by),
    edited_at = ops_now()
  where mine.id = before.id
  returning * into given;
  perform ops_tell_of_edit(before, given);
  return true;
end
$$;

comment on function ops_edit_proposal(bigint, text, text, jsonb) is
  'The pending proposal has another title or other steps; what was asked first is kept, and an event tells what changed. False:'
  ' nothing did. Raises OP001, OP009 when it was decided, and what ops_propose raises for what cannot be.';

create or replace function ops_tell_of_edit(before ops_mission_proposals, given ops_mission_proposals)
returns void
language plpgsql
set search_path = public, pg_temp
as $$
declare
  changes jsonb;
  names text;
begin
  select jsonb_agg(jsonb_build_object('what', change.what, 'before', change.old, 'after', change.new) order by change.place)
  into changes
  from (
    select 0 as place, 'title' as what, to_jsonb(before.title) as old, to_jsonb(given.title) as new
    where before.title <> given.title
    union all
    select place.number, format('step %s', place.number), before.steps -> place.number - 1, given.steps -> place.number - 1
    from generate_series(1, greatest(jsonb_array_length(before.steps), jsonb_array_length(given.steps))) as place (number)
    where before.steps -> place.number - 1 is distinct from given.steps -> place.number - 1
  ) as change;
  select string_agg(change.value ->> 'what', ', ' order by change.place)
  into names
  from jsonb_array_elements(changes) with ordinality as change (value, place);
  -- The row keeps what was asked first; an event is read by everybody who watches.
  if octet_length(changes::text) > 16384 then
    select jsonb_agg(jsonb_build_object('what', change.value -> 'what') order by change.place)
    into changes
    from jsonb_array_elements(changes) with ordinality as change (value, place);
  end if;
  insert into ops_agent_events (kind, agent_id, title, summary, tags, metadata, root_id, depth)
  values (
    'proposal_edited',
    given.agent_id,
    given.title,
    format('%s changed %s', given.edited_by, names),
    array['proposal', given.source],
    jsonb_build_object(
      'proposal_id', given.id,
      'source', given.source,
      'simulated', given.simulated,
      'edited_by', given.edited_by,
      'changes', changes
    ),
    given.root_id,
    given.depth
  );
end
$$;

comment on function ops_tell_of_edit(ops_mission_proposals, ops_mission_proposals) is
  'An event tells who changed the proposal, and what it was before and is after; of more than 16 kB only which parts.';
