-- Who has rows running: its peers look more often whether it still lives.

alter table ops_workers
  add column working boolean not null default false;

comment on column ops_workers.working is 'Whether it had rows running when it last said so: at each heartbeat, and soon after it began.';
