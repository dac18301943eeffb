/** Loaded into a manager: on SIGUSR2 it tells what it holds, after a forced collection, in the file PROBE_FILE. */
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** What a process holds. */
export interface Held {
  /** Bytes that live on the heap. */
  heap: number;
  descriptors: number;
  timers: number;
}

function held(): Held {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return {
    heap: process.memoryUsage().heapUsed,
    descriptors: readdirSync('/proc/self/fd').length,
    timers: process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length,
  };
}

const file = process.env['PROBE_FILE'];
if (isMainThread && file !== undefined)
  process.on('SIGUSR2', () => {
    writeFileSync(`${file}.part`, JSON.stringify(held()));
    renameSync(`${file}.part`, file);
  });
