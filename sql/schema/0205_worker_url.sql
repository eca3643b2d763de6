-- Where the page of a reactor is served, so that `open` on the same machine finds it whatever port it took.

alter table ops_workers
  add column url text,
  add constraint worker_url_is_short check (length(url) <= 500);

comment on column ops_workers.url is 'The address of its page as a browser on its own machine reaches it; null: it serves none.';
