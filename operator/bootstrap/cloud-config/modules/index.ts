import type { Module } from '../module.ts';
import { bootcmd } from './bootcmd.ts';
import { groups } from './groups.ts';
import { hostname } from './hostname.ts';
import { ntp } from './ntp.ts';
import { runcmd } from './runcmd.ts';
import { users } from './users.ts';
import { writeFiles, writeFilesDeferred } from './write_files.ts';

/** What is carried out, in the order in which cloud-init runs its modules (its config/cloud.cfg.tmpl). */
export const MODULES: Module[] = [
  bootcmd,
  writeFiles,
  hostname,
  groups,
  users,
  ntp,
  writeFilesDeferred,
  runcmd, // cloud-init makes a script of it early, and runs that one among the last
];

/** Keys that tell cloud-init how to report or to read, so that leaving them out cannot change what the host does; with the reason. */
export const WITHOUT_EFFECT = new Map([
  ['final_message', 'it is a line in the log of cloud-init'],
  ['output', 'the output of a run is kept by the runner'],
  ['no_ssh_fingerprints', 'no fingerprints are printed to a console'],
  ['ssh_fp_console_blacklist', 'no fingerprints are printed to a console'],
  ['ssh_key_console_blacklist', 'no keys are printed to a console'],
  ['merge_how', 'there is one document, nothing to merge it with'],
  ['merge_type', 'there is one document, nothing to merge it with'],
]);
