/** The whole environment: a management cluster with Cluster API on it, and a network for hosts. */
import { mkdir } from 'node:fs/promises';
import type { Progress } from './cache.ts';
import { timed } from './cache.ts';
import { Client } from './client.ts';
import {
  access,
  type ControlPlane,
  type ControlPlaneAccess,
  type ControlPlaneOptions,
  type ControlPlaneState,
  startControlPlane,
} from './control-plane.ts';
import { createHost, createHosts, type Host, type HostingState, type HostOptions, startHosting } from './hosts.ts';
import { createLoadBalancer, type LoadBalancer, type LoadBalancerOptions } from './haproxy.ts';
import { type ManagerName, prepareManager } from './managers.ts';
import { type Operator, type OperatorOptions, startOperator } from './operator.ts';
import { requirePrerequisites } from './prerequisites.ts';
import type { ManagedProcess } from './process.ts';
import { cleanUp, type Run, startRun } from './run.ts';

export interface EnvironmentOptions extends ControlPlaneOptions {
  /** What the environment is for, such as "demo". */
  purpose: string;
  /** Cluster API's managers to start. */
  managers?: ManagerName[];
  /** Prepare for hosts: needs root, and an image that takes a minute or two the first time. Default true. */
  hosts?: boolean;
  progress?: Progress;
}

/** An environment as plain data: what another process needs to use it. */
export interface EnvironmentState {
  run: Run;
  controlPlane: ControlPlaneState;
  hosting?: HostingState;
}

/** What a test does with an environment, whether it started it or connected to it. */
export interface Environment {
  state: EnvironmentState;
  controlPlane: ControlPlaneAccess;
  /** The administrator's. */
  client: Client;
  createHost: (options?: HostOptions) => Promise<Host>;
  createHosts: (count: number, options?: HostOptions) => Promise<Host[]>;
  createLoadBalancer: (options: LoadBalancerOptions) => Promise<LoadBalancer>;
  /** Starts this project's manager from the checkout. */
  startOperator: (options?: OperatorOptions) => Promise<Operator>;
}

export interface StartedEnvironment extends Environment {
  controlPlane: ControlPlane;
  managers: Partial<Record<ManagerName, ManagedProcess>>;
  /** Ends everything that the environment started and removes everything that it made. */
  stop: () => Promise<void>;
}

/** Starts an environment. Whatever fails, nothing is left of it. */
export async function startEnvironment({
  purpose,
  managers = [],
  hosts = true,
  progress = () => undefined,
  ...options
}: EnvironmentOptions): Promise<StartedEnvironment> {
  await requirePrerequisites({ controlPlane: true, hosts }, progress);
  const run = await startRun(purpose);
  try {
    const hosting = hosts ? await timed(progress, 'prepare the network of the hosts', () => startHosting(run, progress)) : undefined;
    const controlPlane = await timed(progress, 'start the control plane', () => startControlPlane(run, options, progress));
    const environment = await connectEnvironment({ run, controlPlane: plain(controlPlane), ...(hosting && { hosting }) });
    const started: StartedEnvironment['managers'] = {};
    const prepare = async (name: ManagerName) => ({
      name,
      start: await prepareManager(run, name, { controlPlane, client: environment.client }, progress),
    });
    const prepared = await timed(progress, 'install the kinds of Cluster API', () => Promise.all(managers.map(prepare)));
    await Promise.all(
      prepared.map(async ({ name, start }) => {
        started[name] = await timed(progress, `start Cluster API ${name}`, start);
      }),
    );
    const stop = async () => {
      environment.client.rest.close();
      await Promise.all(Object.values(started).map((manager) => manager.stop(3000)));
      await controlPlane.stop();
      cleanUp(run.folder);
    };
    return { ...environment, controlPlane, managers: started, stop };
  } catch (error) {
    cleanUp(run.folder);
    throw error;
  }
}

/** Uses an environment that another process started. */
export async function connectEnvironment(state: EnvironmentState): Promise<Environment> {
  const { run, hosting } = state;
  const controlPlane = await access(state.controlPlane);
  const client = await Client.connect(controlPlane.kubeconfig);
  const needHosts = (): HostingState => {
    if (hosting === undefined) throw new Error('this environment was started without hosts');
    return hosting;
  };
  await mkdir(run.folder, { recursive: true });
  return {
    state,
    controlPlane,
    client,
    createHost: (options) => createHost(run, needHosts(), options),
    createHosts: (count, options) => createHosts(run, needHosts(), count, options),
    createLoadBalancer: (options) => createLoadBalancer(run, needHosts(), options),
    startOperator: (options = {}) => startOperator(run, { controlPlane, client }, options),
  };
}

const plain = ({ folder, url, kubeconfig, auditLog }: ControlPlaneState): ControlPlaneState => ({
  folder,
  url,
  kubeconfig,
  ...(auditLog !== undefined && { auditLog }),
});
