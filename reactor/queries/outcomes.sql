-- name: record
-- The figure of the step is as given; what it teaches is remembered.
select ops_record_outcome(%(step)s, %(metric)s, %(value)s);
