-- What is deleted by age is found by age.

create index ops_memory_influences_age_idx on ops_memory_influences (context_type, created_at);
