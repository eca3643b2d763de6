#!/usr/bin/env bash
# A game day: break what will break one day, on purpose, and see that nothing is lost.
#
#   deploy/gameday.sh [kill] [failover] [pooler] [budget]     all of them when none is named
#
# Everything happens in a directory of its own with servers of its own, and is gone afterwards; nothing of yours is touched. Each
# part says what it does, what it sees, and `PASSED` or `FAILED`; the last line is `game day: N passed, N failed, N not run`, the exit
# code 1 when any failed. A part that needs a program this machine lacks says so and is not run. Expected output: gameday.txt.
#
#   kill      two reactors, 200 steps; one reactor is killed (SIGKILL) in the middle: every step is done, once
#   failover  primary and standby; the primary is killed, the standby promoted: the reactor goes on there by itself
#   pooler    a transaction pooler in between: the reactor says that it is deaf, and works by sweeps
#   budget    the day's budget is spent: LLM steps wait and the others go on; a raised budget frees them
#
# Needs: this checkout (or VOXYZ=… with another program), bash; pgbouncer for `pooler`.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
VOXYZ=${VOXYZ:-$here/../bin/voxyz-reactor}
PATIENCE_S=${PATIENCE_S:-120}

directory=$(mktemp -d "${TMPDIR:-/tmp}/voxyz-gameday-XXXXXX")
chmod 755 "$directory"
reactors=()
servers=()
passed=0 failed=0 not_run=0

say() { printf '%s\n' "$*"; }

# end_all: every process that a part started is gone
end_all() {
    local pid data
    for pid in "${reactors[@]}"; do kill -TERM "$pid" 2> /dev/null; done
    for pid in "${reactors[@]}"; do wait "$pid" 2> /dev/null; done
    for data in "${servers[@]}"; do as_server "$bindir/pg_ctl" -D "$data" -m immediate -w stop > /dev/null 2>&1; done
    if [ -n "${helper:-}" ]; then kill "$helper" 2> /dev/null; wait "$helper" 2> /dev/null; helper=; fi
    reactors=() servers=()
}
trap 'end_all; rm -rf "$directory"' EXIT

# until_true COMMAND...: it has succeeded, within PATIENCE_S
until_true() {
    local deadline=$((SECONDS + PATIENCE_S))
    until "$@" > /dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "  not within $PATIENCE_S s: $*"
            return 1
        fi
        sleep 0.2
    done
}

sql() { "$bindir/psql" -qtAX "$DATABASE_URL" -c "$1"; }
is() { [ "$(sql "$1")" = "$2" ]; }

# as_server COMMAND...: PostgreSQL does not run as root
as_server() { "${server_account[@]}" "$@"; }

free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# new_server NAME: a primary in $directory/NAME, its port in $port
new_server() {
    local data=$directory/$1
    port=$(free_port)
    as_server "$bindir/initdb" -D "$data" -U voxyz --auth=trust --no-sync > /dev/null || return 1
    start_server "$data" "$port"
}

start_server() {
    servers+=("$1")
    as_server "$bindir/pg_ctl" -D "$1" -w -l "$1.log" \
        -o "-p $2 -k $directory/sockets -c listen_addresses=127.0.0.1 -c fsync=off" start > /dev/null
}

# start_reactor NAME PART...: one is ready, its pid in $reactor, its words in $directory/NAME.log
start_reactor() {
    local name=$1
    shift
    OPS_PORT=0 VOXYZ_LLM=${GAMEDAY_LLM:-mock} VOXYZ_LOG=json "$VOXYZ" run "$@" > "$directory/$name.out" 2> "$directory/$name.log" &
    reactor=$!
    reactors+=("$reactor")
    until_true grep -q ^ready "$directory/$name.out" || { cat "$directory/$name.log"; return 1; }
}

part_kill() {
    new_server kill || return 1
    export DATABASE_URL=postgresql://voxyz@127.0.0.1:$port/postgres
    start_reactor first mission || return 1
    local first=$reactor
    start_reactor second mission || return 1
    sql "insert into ops_mission_steps (kind, payload)
         select 'noop', '{\"sleep_s\": 3}' from generate_series(1, 200)" || return 1
    local mine="select count(*) > 5 from ops_mission_steps as step join ops_workers as worker on worker.id = step.claimed_by
                where step.status = 'running' and worker.pid = $first"
    until_true is "$mine" t || return 1
    kill -KILL "$first" && wait "$first" 2> /dev/null
    say "  killed one of two reactors in the middle of 200 steps"
    until_true is "select count(*) from ops_mission_steps where status = 'succeeded'" 200 || return 1
    say "  all 200 steps succeeded"
    is "select count(*) from ops_mission_steps where attempt > 1" 0 || { say "  an attempt was burnt"; return 1; }
    is "select count(*) > 0 from ops_mission_steps where crashes = 1" t || { say "  nothing was rescued"; return 1; }
    say "  what the killed one had running was run again, without a burnt attempt"
}

part_failover() {
    new_server primary || return 1
    local first=$port second
    second=$(free_port)
    as_server "$bindir/pg_basebackup" -h 127.0.0.1 -p "$first" -U voxyz -D "$directory/standby" -R -X stream --no-sync || return 1
    start_server "$directory/standby" "$second" || return 1
    export DATABASE_URL="postgresql://voxyz@127.0.0.1:$first,127.0.0.1:$second/postgres?target_session_attrs=read-write"
    start_reactor failover mission || return 1
    sql "insert into ops_mission_steps (kind) values ('noop')" || return 1
    until_true is "select count(*) from ops_mission_steps where status = 'succeeded'" 1 || return 1
    until_true is "select count(*) > 0 and bool_and(replay_lsn = pg_current_wal_lsn()) from pg_stat_replication" t || return 1
    as_server "$bindir/pg_ctl" -D "$directory/primary" -m immediate -w stop > /dev/null
    say "  killed the primary under a working reactor"
    as_server "$bindir/pg_ctl" -D "$directory/standby" -w promote > /dev/null || return 1
    say "  promoted the standby"
    until_true sql "insert into ops_mission_steps (kind) values ('noop')" || return 1
    until_true is "select count(*) from ops_mission_steps where status = 'succeeded'" 2 || return 1
    kill -0 "$reactor" || { say "  the reactor has died"; return 1; }
    say "  the same reactor works on the new primary, and the first step is still there"
}

part_pooler() {
    local pgbouncer
    pgbouncer=$(command -v pgbouncer || true)
    if [ -z "$pgbouncer" ]; then
        say "  pgbouncer is not installed"
        return 2
    fi
    new_server pooler || return 1
    local direct=$port between
    between=$(free_port)
    export DATABASE_URL=postgresql://voxyz@127.0.0.1:$direct/postgres
    "$VOXYZ" migrate > /dev/null 2>&1 || return 1
    cat > "$directory/pgbouncer.ini" << INI
[databases]
postgres = host=127.0.0.1 port=$direct
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $between
unix_socket_dir =
auth_type = trust
auth_file = $directory/users.txt
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
INI
    printf '"voxyz" ""\n' > "$directory/users.txt"
    chmod 644 "$directory/pgbouncer.ini" "$directory/users.txt"
    "${server_account[@]}" "$pgbouncer" -q "$directory/pgbouncer.ini" &  # not through the function: its pid must be its own
    helper=$!
    export DATABASE_URL=postgresql://voxyz@127.0.0.1:$between/postgres
    until_true sql "select 1" || return 1
    start_reactor pooler mission || return 1
    until_true grep -q deaf "$directory/pooler.log" || { cat "$directory/pooler.log"; return 1; }
    say "  behind a transaction pooler the reactor says that it is deaf"
    sql "insert into ops_mission_steps (kind) select 'noop' from generate_series(1, 20)" || return 1
    until_true is "select count(*) from ops_mission_steps where status = 'succeeded'" 20 || return 1
    say "  20 steps were found by sweeps"
    is "select count(*) from pg_locks where locktype = 'advisory'" 0 || { say "  a lock was left behind the pooler"; return 1; }
    say "  no lock was left behind the pooler"
}

# start_provider: something that answers as a language model does, at $provider_url; a real one would cost money
start_provider() {
    local at
    at=$(free_port)
    "$python" -c '
import http.server, json, sys

class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        text = json.dumps({"text": "It rained.", "points": ["rain"]})
        body = {"input_tokens": 50} if "count_tokens" in self.path else {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "any", "stop_reason": "end_turn", "stop_sequence": None,
            "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 50, "output_tokens": 20}}
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider).serve_forever()
' "$at" &
    helper=$!
    provider_url=http://127.0.0.1:$at
}

part_budget() {
    new_server budget || return 1
    start_provider
    export DATABASE_URL=postgresql://voxyz@127.0.0.1:$port/postgres
    "$VOXYZ" migrate > /dev/null 2>&1 || return 1
    "$VOXYZ" policy llm_budget '{"per_day_usd": 0.000001}' > /dev/null || return 1
    ANTHROPIC_API_KEY=of-a-game-day ANTHROPIC_BASE_URL=$provider_url GAMEDAY_LLM=anthropic start_reactor budget mission || return 1
    sql "insert into ops_mission_steps (kind, payload) values ('summarize', '{\"text\": \"It rained all day.\"}')" || return 1
    sql "insert into ops_mission_steps (kind) values ('noop')" || return 1
    until_true is "select status from ops_mission_steps where kind = 'noop'" succeeded || return 1
    until_true is "select count(*) > 0 from ops_agent_events where kind = 'budget_spent'" t || return 1
    until_true is "select status = 'queued' and attempt = 0 from ops_mission_steps where kind = 'summarize'" t || return 1
    is "select coalesce(sum(cost_usd), 0) from ops_llm_calls" 0 || return 1
    say "  with the day's budget spent the LLM step waits, no attempt counted, and others go on"
    "$VOXYZ" policy llm_budget '{"per_day_usd": 1.0}' > /dev/null || return 1
    until_true is "select status from ops_mission_steps where kind = 'summarize'" succeeded || return 1
    is "select sum(cost_usd) > 0 from ops_llm_calls" t || return 1
    say "  a raised budget lets it go on by itself, and the call is in the ledger"
}

"$VOXYZ" --version > /dev/null || exit 1
python=$(command -v python3)
bindir=${PGBIN:-$("$here/../.venv/bin/python" -c 'from reactor.pg.embedded.binaries import wheel_binaries as b; print(b(18).bindir)')} || exit 1
server_account=()
mkdir -p "$directory/sockets"
if [ "$(id -u)" -eq 0 ]; then
    id voxyz > /dev/null 2>&1 || useradd --system --user-group --no-create-home voxyz
    server_account=(setpriv --reuid voxyz --regid voxyz --clear-groups)
    chown voxyz:voxyz "$directory" "$directory/sockets"
fi

if [ $# -eq 0 ]; then set -- kill failover pooler budget; fi
for name in "$@"; do
    case $name in kill | failover | pooler | budget) ;; *) say "there is no part $name: kill, failover, pooler, budget" >&2; exit 2 ;; esac
    say "$name"
    "part_$name"
    case $? in
        0) passed=$((passed + 1)) && say "  PASSED" ;;
        2) not_run=$((not_run + 1)) && say "  NOT RUN" ;;
        *) failed=$((failed + 1)) && say "  FAILED" ;;
    esac
    end_all
done
say "game day: $passed passed, $failed failed, $not_run not run"
[ "$failed" -eq 0 ]
