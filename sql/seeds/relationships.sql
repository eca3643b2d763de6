-- Where the pairs begin. A pair that exists is left as it is; one whose agents are gone is left out.

insert into ops_agent_relationships (agent_a, agent_b, affinity, seed_affinity)
select
  least(seed.one collate "C", seed.other collate "C"),
  greatest(seed.one collate "C", seed.other collate "C"),
  seed.affinity,
  seed.affinity
from (
  values
    ('minion', 'sage', 0.800),
    ('sage', 'observer', 0.800),
    ('quill', 'xalt', 0.700),
    ('minion', 'observer', 0.650),
    ('scout', 'xalt', 0.650),
    ('minion', 'scout', 0.600),
    ('scout', 'quill', 0.600),
    ('minion', 'quill', 0.550),
    ('sage', 'scout', 0.550),
    ('sage', 'quill', 0.500),
    ('scout', 'observer', 0.450),
    ('quill', 'observer', 0.400),
    ('xalt', 'observer', 0.350),
    ('minion', 'xalt', 0.300),
    ('sage', 'xalt', 0.300)
) as seed (one, other, affinity)
join ops_agents as first_agent
  on first_agent.id = seed.one
join ops_agents as second_agent
  on second_agent.id = seed.other
on conflict on constraint ops_agent_relationships_pkey do nothing;
