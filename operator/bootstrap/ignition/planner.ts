import { scriptStep } from '../cloud-config/module.ts';
import { MAX_TOTAL_BYTES } from '../cloud-config/modules/write_files_content.ts';
import { Budget } from '../format.ts';
import type { Finding, Step } from '../plan.ts';
import { refusal } from '../problems.ts';
import { mentionsSentinel, SENTINEL } from '../sentinel.ts';
import type { Config } from './config.ts';
import { Places } from './documents/places.ts';
import { render } from './documents/render.ts';
import { partitions } from './sections/disks.ts';
import { NEEDS_CURL } from './sections/fetch.ts';
import { fileSystems } from './sections/filesystems.ts';
import { nodes } from './sections/nodes.ts';
import { accounts } from './sections/passwd.ts';
import { arrays } from './sections/raid.ts';
import { contentOf, Unreadable } from './sections/resource.ts';
import type { Context, Section } from './sections/section.ts';
import { sentinelScript } from './sections/systemd_scripts.ts';
import { units } from './sections/systemd.ts';
import { validate } from './validate.ts';

/** In the order of Ignition's stages. */
const SECTIONS: Section[] = [partitions, arrays, fileSystems, accounts, nodes, units];

/**
 * The steps of an Ignition document, with all documents that it holds.
 * @throws BootstrapDataError that names every problem with its path and line
 */
export function planIgnition(text: string, budget = new Budget()): { steps: Step[]; findings: Finding[] } {
  const places = new Places(budget);
  const config = render(text, places);
  if (config === undefined || places.problems.length > 0) throw refusal(places.problems, places.findings);
  validate(config, places);
  checkAuthorities(config, places);
  if (places.problems.length > 0) throw refusal(places.problems, places.findings);
  const context = contextOf(places);
  const steps = SECTIONS.flatMap((section) => section.plan(config, context));
  if (places.problems.length > 0) throw refusal(places.problems, places.findings);
  const remote = steps.some(({ name }) => name.endsWith(' fetch'));
  const checks = [...SECTIONS.flatMap((section) => section.checks?.(config) ?? []), ...(remote ? [NEEDS_CURL] : [])];
  const first = checks.length === 0 ? [] : [scriptStep('ignition checks', checksScript(checks))];
  return { steps: [...first, ...steps, ...awaitSentinel(config, steps)], findings: places.findings };
}

function contextOf(places: Places): Context {
  let left = MAX_TOTAL_BYTES;
  return {
    name: (object, about) => `${places.pathOf(object)} ${about}`,
    problem: (...args) => places.problem(...args),
    note: (...args) => places.note(...args),
    content(object, below, resource) {
      try {
        const content = contentOf(resource);
        if (content.kind === 'bytes') left -= content.bytes.length;
        const spent = content.kind !== 'bytes' || resource.compression !== 'gzip' || places.budget.spend(content.bytes.length);
        if (left >= 0 && spent) return content;
        places.problem(object, below, `all documents and files together have more than ${MAX_TOTAL_BYTES} bytes`, 'BootstrapDataTooLarge');
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        places.problem(
          object,
          [...below, ...error.key],
          error.message,
          error.unsupported ? 'BootstrapKeyUnsupported' : 'BootstrapDataInvalid',
        );
      }
      return undefined;
    },
  };
}

function checkAuthorities({ ignition }: Config, places: Places): void {
  const context = contextOf(places);
  for (const [index, authority] of (ignition.security?.tls?.certificateAuthorities ?? []).entries()) {
    const below = ['security', 'tls', 'certificateAuthorities', index];
    const content = context.content(ignition, below, authority);
    if (content === undefined) continue;
    const isCertificate = content.kind === 'bytes' && Buffer.from(content.bytes).toString('latin1').includes('-----BEGIN CERTIFICATE-----');
    if (!isCertificate) places.problem(ignition, [...below, 'source'], 'is not a certificate in PEM as a data URL');
  }
}

const checksScript = (checks: string[]): string =>
  `${[
    'set -eu',
    'fail() {',
    '  echo "$1" >&2',
    '  exit 1',
    '}',
    'needs() { # TOOL HOW',
    '  command -v "$1" >/dev/null 2>&1 || fail "$1 is not installed on this host; $2"',
    '}',
    ...new Set(checks),
  ].join('\n')}\n`;

/** What a unit does after it has started counts, where it is to say that it has come to its end. */
function awaitSentinel({ systemd: { units: list = [] } = {} }: Config, steps: Step[]): Step[] {
  const enabled = [...new Set(list.filter(({ enabled, mask }) => enabled === true && mask !== true).map(({ name }) => name))];
  if (enabled.length === 0 || !steps.some(mentionsSentinel)) return [];
  return [scriptStep(`systemd.units ${enabled.join(', ')} until the end`, sentinelScript(enabled, SENTINEL))];
}
