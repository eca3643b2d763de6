// The worker of the peer graphile-worker; its connection is in PGHOST, PGPORT, PGUSER, PGDATABASE.
import { appendFileSync } from "node:fs";
import { Logger, run, runMigrations } from "graphile-worker";

const quiet = new Logger(() => (level, message) => {
  if (level === "error") console.error(message);
});
const mode = process.argv[2];
let entered = false;

const mark = (...numbers) => {
  const now = process.hrtime.bigint(); // CLOCK_MONOTONIC, as Python's
  appendFileSync(process.env.BENCH_MARKS, [now, ...numbers].join(" ") + "\n");
};

const taskList = {
  noop: async () => {
    if (!entered) {
      entered = true;
      mark();
    }
  },
  mark: async (payload) => mark(payload.at),
};

// What its documentation on performance suggests trying.
const tuned = {
  worker: {
    concurrentJobs: 24,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    maxPoolSize: 10,
    logger: quiet,
  },
};

if (mode === "migrate") {
  await runMigrations({ logger: quiet });
} else {
  const runner = await run({ taskList, logger: quiet, ...(mode === "tuned" ? { preset: tuned } : {}) });
  console.log("ready");
  await runner.promise;
}
