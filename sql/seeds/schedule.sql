-- The company's week, as long as there is no slot at all: whoever threw one out keeps it out.

insert into ops_conversation_slots (name, cron, format, probability)
select
  seed.name,
  seed.cron,
  seed.format,
  seed.probability
from (
  values
    ('morning standup', '0 6 * * *', 'standup', 1.0),
    ('brainstorm', '0 9 * * *', 'brainstorm', 0.6),
    ('deep dive', '0 11 * * *', 'deep_dive', 0.4),
    ('noon watercooler', '0 12 * * *', 'watercooler', 0.7),
    ('content review', '0 14 * * *', 'content_review', 0.45),
    ('check-in', '0 16 * * *', 'checkin', 0.5),
    ('debate', '0 18 * * *', 'debate', 0.5),
    ('evening watercooler', '0 20 * * *', 'watercooler', 0.6),
    ('retrospective', '0 22 * * *', 'retrospective', 0.4),
    ('Monday planning', '0 8 * * 1', 'planning', 1.0),
    ('Friday shipping', '0 15 * * 5', 'shipping', 1.0)
) as seed (name, cron, format, probability)
where not exists (select from ops_conversation_slots);
