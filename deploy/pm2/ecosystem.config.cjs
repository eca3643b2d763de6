// The reactor under pm2, from the root of the checkout (or with voxyz-reactor on PATH):
//
//   pm2 start deploy/pm2/ecosystem.config.cjs                    one process that does everything
//   VOXYZ_APPS=split pm2 start deploy/pm2/ecosystem.config.cjs   a process for each kind of worker
//
// Without a DATABASE_URL the four share the embedded server, which outlives each of them.
// Settings come from the environment of `pm2 start`, and from .env.local and .env in VOXYZ_DIR (default: here).

const fs = require("node:fs");
const path = require("node:path");

const GRACE_S = Number(process.env.OPS_GRACE_S || 20); // as the reactor's own default
const LEAVE_S = 30; // what leaving takes after the grace period

const checkout = path.resolve(__dirname, "../../bin/voxyz-reactor");
const program = fs.existsSync(checkout) ? checkout : "voxyz-reactor";

const app = (name, ...parts) => ({
  name,
  script: program,
  args: ["run", ...parts],
  interpreter: "none",
  cwd: process.env.VOXYZ_DIR || process.cwd(),
  exec_mode: "fork",
  instances: 1,
  // pm2 tells the reactor alone, with SIGINT, and kills it when it has not left in time: an embedded server below it
  // must outlive the work.
  treekill: false,
  kill_timeout: (GRACE_S + LEAVE_S) * 1000,
  autorestart: true,
  exp_backoff_restart_delay: 200,
  stop_exit_codes: [2], // a wrong setting is not tried again, though pm2 lists it as "waiting restart"
  max_memory_restart: process.env.VOXYZ_MAX_MEMORY || "1G",
  merge_logs: true,
  env: { PYTHONUNBUFFERED: "1", VOXYZ_LOG: process.env.VOXYZ_LOG || "json" },
});

const layouts = {
  whole: [app("voxyz-reactor")],
  split: [
    app("mission-worker", "mission"),
    app("roundtable-worker", "roundtable"),
    app("initiative-worker", "initiative"),
    app("schedule-conversations", "schedule", "heartbeat", "web"),
  ],
};

const layout = process.env.VOXYZ_APPS || "whole";
if (!(layout in layouts)) {
  throw new Error(`VOXYZ_APPS must be whole or split, not ${layout}`);
}

module.exports = { apps: layouts[layout] };
