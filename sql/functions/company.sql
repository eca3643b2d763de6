-- The company's clock: in which time zone its days begin.

create or replace function ops_server_timezone()
returns text
language plpgsql
stable
set search_path = public, pg_temp
set timezone = 'UTC'
as $$
begin
  -- Null means: as it was when the session began; view pg_settings knows too, and takes milliseconds to list them all. The
  -- function's own setting, above, puts back at its end what the session has.
  perform set_config('TimeZone', null, true);
  return current_setting('TimeZone');
end
$$;

comment on function ops_server_timezone() is
  'The time zone the server is set to; a session''s own `set timezone` does not move it.';

create or replace function ops_company_timezone()
returns text
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  zone text;
begin
  select nullif(trim(policy.value ->> 'timezone'), '')
  into zone
  from ops_policy as policy
  where policy.key = 'company';
  if zone is not null then
    begin
      perform ops_now() at time zone zone;
      return zone;
    exception
      when invalid_parameter_value then
        null;  -- a zone this server does not know: the days are the server's
    end;
  end if;
  return ops_server_timezone();
end
$$;

comment on function ops_company_timezone() is
  'The time zone of policy company, else the server''s: by it days, quiet hours and daily limits go.';

create or replace function ops_day_start()
returns timestamptz
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
  zone text := ops_company_timezone();
begin
  return date_trunc('day', ops_now() at time zone zone) at time zone zone;
end
$$;

comment on function ops_day_start() is 'When the company''s present day began.';
