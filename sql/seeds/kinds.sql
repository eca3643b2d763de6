-- The kinds every reactor has; reactors add their own at start.

insert into ops_step_kinds (kind, description, external, timeout_s)
values
  ('research', 'Gathers what is known about a topic, with sources and what stays unknown.', false, 120),
  ('analyze', 'Weighs what was found and says what follows.', false, 120),
  ('write_content', 'Writes an article or a post.', false, 120),
  ('draft_tweet', 'Drafts one short post.', false, 120),
  ('review', 'Reads something critically and gives a verdict.', false, 120),
  ('diagnose', 'Finds out why something failed and what to do.', false, 120),
  ('summarize', 'Makes something long short.', false, 120),
  ('plan', 'Turns a goal into steps.', false, 120),
  ('crawl', 'Fetches a page of the open net and keeps its text.', false, 60),
  ('webhook', 'Posts JSON to a URL, signed.', true, 30),
  ('notify', 'Tells people what policy notify says; takes along all that is new of a topic.', false, 30),
  ('noop', 'Does nothing, perhaps slowly; fails when told to.', false, 300)
on conflict on constraint ops_step_kinds_pkey do nothing;
