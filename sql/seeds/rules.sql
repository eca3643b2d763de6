-- What the house does by itself, to begin with. A rule that exists is left as it is; one that was thrown out stays out.

insert into ops_trigger_rules (
  name, description, mode, event_kind, tags_all, every_s, jitter_from_s, jitter_to_s, probability, cooldown_s,
  agent_id, title, steps, topics, topics_from
)
select
  seed.name,
  seed.description,
  seed.mode,
  seed.event_kind,
  seed.tags_all,
  seed.every_s,
  case when seed.mode = 'timed' then 1500 else 0 end,
  case when seed.mode = 'timed' then 2700 else 0 end,
  seed.probability,
  seed.cooldown_s,
  seed.agent_id,
  seed.title,
  seed.steps,
  seed.topics,
  seed.topics_from
from (
  values
    (
      'diagnose_failed_missions',
      'A mission failed: sage finds out why.',
      'event', 'mission_failed', '{}'::text[], null::double precision, 1.0, 3600,
      'sage',
      'Why mission {mission_id} failed: {title}',
      '[{"kind": "diagnose", "payload": {"topic": "Why mission {mission_id} failed: {title}", "reason": "{summary}"}}]'::jsonb,
      '{}'::text[],
      'list'
    ),
    (
      'review_content',
      'Something was written: observer reads it first.',
      'event', 'step_succeeded', '{write_content}', null, 1.0, 7200,
      'observer',
      'Review of step {step_id}: {mission}',
      '[{"kind": "review", "payload": {"topic": "Review: {mission}", "text": "{text}"}}]',
      '{}',
      'list'
    ),
    (
      'plan_promoted_insights',
      'An insight has proved itself: minion makes a plan of it.',
      'event', 'memory_promoted', '{insight}', null, 1.0, 14400,
      'minion',
      'What to do with what {agent} learnt: {summary}',
      '[{"kind": "plan", "payload": {"topic": "What to do with this: {summary}"}}]',
      '{}',
      'list'
    ),
    (
      'scan_sources',
      'Scout looks at the pages of policy sources; none: it looks at nothing.',
      'timed', null, '{}', 10800, 0.90, 0,
      'scout',
      'Scan {topic} ({time})',
      '[
        {"kind": "crawl", "payload": {"url": "{url}"}},
        {"kind": "analyze", "payload": {"topic": "What is new on {url}, and what it means for us"}}
      ]',
      '{}',
      'sources'
    ),
    (
      'draft_posts',
      'Xalt drafts a post.',
      'timed', null, '{}', 14400, 0.85, 0,
      'xalt',
      'A post: {topic} ({time})',
      '[{"kind": "draft_tweet", "payload": {"topic": "{topic}"}}]',
      array[
        'One thing we changed our mind about',
        'A question customers ask before they buy',
        'The small habit that saves us an hour',
        'What we would tell ourselves a year ago',
        'Something we tried that did not work',
        'A word of our trade, explained to a friend',
        'The best thing a customer said lately',
        'What happens here before anybody sees it',
        'A rule we keep, and why',
        'What we are curious about this week'
      ],
      'list'
    ),
    (
      'research_goals',
      'Sage researches a goal of the company; while it has none, what a company should know.',
      'timed', null, '{}', 21600, 0.88, 0,
      'sage',
      'What we know about: {topic} ({time})',
      '[{"kind": "research", "payload": {"topic": "{topic}"}}]',
      array[
        'Who needs us most, and why',
        'What customers do instead of coming to us',
        'What makes people come back',
        'What we do better than others, and how we know',
        'Where people first hear of us',
        'What keeps people from buying',
        'Which of our habits cost more than they bring',
        'What will be different in a year'
      ],
      'goals'
    ),
    (
      'analyse_operations',
      'Observer analyses how the work goes.',
      'timed', null, '{}', 28800, 0.90, 0,
      'observer',
      'Operations: {topic} ({time})',
      '[{"kind": "analyze", "payload": {"topic": "{topic}", "state": "{operations}"}}]',
      array[
        'What failed of late, and what the failures have in common',
        'Where work waits, and for whom',
        'What we do often that nobody has asked for',
        'Which proposals are turned away, and why',
        'Who has too much on the desk, and who too little',
        'What a calm day looks like in figures',
        'Which checks have never found anything',
        'What would be noticed last if it broke'
      ],
      'list'
    )
) as seed (
  name, description, mode, event_kind, tags_all, every_s, probability, cooldown_s, agent_id, title, steps, topics, topics_from
)
where not exists (select from ops_trigger_rules);

-- The rules may be older than what is watched for.
select ops_watch();
