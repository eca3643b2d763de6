-- name: use
-- The link is used; no row when it was used before, anywhere.
insert into ops_login_links (digest, expires_at, used_at)
values (%(digest)s, to_timestamp(%(expires_at)s), ops_now())
on conflict on constraint ops_login_links_pkey do nothing
returning true;
