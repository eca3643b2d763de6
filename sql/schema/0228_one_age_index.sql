-- Answers to requests have an index on their age already.

drop index ops_idempotent_requests_age_idx;
