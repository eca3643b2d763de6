-- name: why
-- Why the thing is where it is: one sentence, and the facts behind it.
select
  told.sentence,
  told.facts
from ops_why(%(what)s, %(id)s) as told;
