/**
 * Names the moments between any two things that others see of this process: a kill at each of them is tested. Here they do nothing, and a
 * bundle has no trace of them. The tests' own bundle has e2e/failpoints/failpoint.ts in this module's place.
 */
import type { Resource } from './types.ts';

/** `during`: a command on a host has answered and goes on. */
export type Moment = 'before' | 'during' | 'after';
/** What is asked of the API server. */
export type ApiAction = 'get' | 'create' | 'patch';
/** What is executed on a host. */
export type HostVerb = 'claim' | 'inspect' | 'run' | 'follow' | 'state' | 'kill' | 'withdraw' | 'tidy' | 'clean' | 'release';
/** `connect`: to a host, with nothing executed there yet. */
export type Step = `${ApiAction} ${string}` | `exec ${HostVerb}` | 'connect';
export type Failpoint = `${Moment} ${Step}`;

/**
 * The way of a machine from a pool, step by step. One that names its host goes the same way without the entry's steps. Events go out
 * beside it, at any time.
 */
export const WAY = [
  'patch remotemachines', // names its entry
  'patch pooledremotemachines/status', // names its machine
  'get secrets', // the SSH key
  'get secrets', // the bootstrap data
  'connect',
  'exec claim',
  'patch remotemachines/status', // tells of the run
  'exec run',
  'patch remotemachines', // provider ID and host key
  'patch remotemachines/status', // ready
  'patch pooledremotemachines/status', // facts of the host
  'patch pooledremotemachines', // finalizer and host key
  'patch machines', // labels of the entry
  'get secrets', // kubeconfig
  'patch nodes',
  'patch remotemachines/status', // tells of the Node
] as const satisfies Step[];

/** And back again, once it is deleted. */
export const WAY_BACK = [
  'get secrets', // the SSH key
  'connect',
  'exec inspect',
  'exec clean',
  'exec follow',
  'exec release',
  'patch pooledremotemachines/status', // free
  'patch pooledremotemachines', // finalizer
  'patch remotemachines', // finalizer
] as const satisfies Step[];

/** Moments of a step, in order. */
export const momentsOf = (step: Step): Failpoint[] => {
  const lasts = step === 'exec run' || step === 'exec follow';
  return [`before ${step}`, ...(lasts ? ([`during ${step}`] as const) : []), `after ${step}`];
};

/** In parts: nothing is composed where nobody asks, and with fixed parameters, so that a bundle leaves the calls out. */
export function failpoint(moment: Moment, action: ApiAction, resource: Resource, subresource: string | undefined): void;
export function failpoint(moment: Moment, action: 'exec', verb: HostVerb): void;
export function failpoint(moment: Moment, action: 'connect'): void;
// eslint-disable-next-line @typescript-eslint/no-unused-vars -- the one that replaces it uses them
export function failpoint(_moment: Moment, _action: string, _on?: Resource | string, _subresource?: string): void {}

export function nameOf(moment: Moment, action: string, on?: Resource | string, subresource?: string): Failpoint {
  const what = typeof on === 'object' ? on.plural : on;
  const where = subresource === undefined ? what : `${what ?? ''}/${subresource}`;
  return [moment, action, where].filter((word) => word !== undefined).join(' ') as Failpoint;
}
