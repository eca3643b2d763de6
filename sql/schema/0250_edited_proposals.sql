-- A person may change what a proposal asks for before saying yes; what was asked first is kept.

alter table ops_mission_proposals
  add column asked jsonb,
  add column edited_by text,
  add column edited_at timestamptz,
  add constraint proposal_asked_is_an_object check (jsonb_typeof(asked) = 'object'),
  add constraint proposal_edited_by_is_short check (length(edited_by) between 1 and 200),
  add constraint proposal_edits_are_whole check (num_nulls(asked, edited_by, edited_at) in (0, 3));

comment on column ops_mission_proposals.asked is
  'Title and steps as they were proposed, before a person changed them; null: nobody did.';
