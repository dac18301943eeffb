import type { Module } from '../module.ts';
import { apt } from './apt.ts';
import { bootcmd } from './bootcmd.ts';
import { caCerts } from './ca_certs.ts';
import { chpasswd } from './chpasswd.ts';
import { disks } from './disk_setup.ts';
import { finalMessage } from './final_message.ts';
import { groups } from './groups.ts';
import { growing } from './growing.ts';
import { hostname } from './hostname.ts';
import { locale } from './locale.ts';
import { ntp } from './ntp.ts';
import { output } from './output.ts';
import { packages, rebootIfRequired } from './packages.ts';
import { powerState } from './power_state.ts';
import { runcmd } from './runcmd.ts';
import { snap } from './snap.ts';
import { ssh } from './ssh.ts';
import { timezone } from './timezone.ts';
import { users } from './users.ts';
import { writeFiles, writeFilesDeferred } from './write_files.ts';
import { yumRepos } from './yum_repos.ts';

/** What is carried out, in the order in which cloud-init runs its modules (its config/cloud.cfg.tmpl). */
export const MODULES: Module[] = [
  // init
  output,
  bootcmd,
  writeFiles,
  growing,
  disks,
  hostname,
  caCerts,
  groups,
  users,
  ssh,
  // config
  snap,
  locale,
  chpasswd,
  apt,
  yumRepos,
  ntp,
  timezone,
  // final
  packages,
  writeFilesDeferred,
  runcmd, // cloud-init makes a script of it early, and runs that one here
  finalMessage,
  rebootIfRequired,
  powerState,
];

/** Keys that tell cloud-init how to report or to read, so that leaving them out cannot change what the host does; with the reason. */
export const WITHOUT_EFFECT = new Map([
  ['no_ssh_fingerprints', 'no fingerprints are printed to a console'],
  ['authkey_hash', 'no fingerprints are printed to a console'],
  ['ssh_fp_console_blacklist', 'no fingerprints are printed to a console'],
  ['ssh_key_console_blacklist', 'no keys are printed to a console'],
  ['ssh_quiet_keygen', 'no host keys are made'],
  ['ssh_publish_hostkeys', "host keys are not published; the operator reads the host's own"],
  ['allow_public_ssh_keys', 'there is no cloud that would have keys'],
  ['migrate', 'it is about the files of cloud-init'],
  ['manual_cache_clean', 'it is about the cache of cloud-init'],
]);
