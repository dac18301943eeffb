/** Connects a suite to the environment that all of them share. */
import { readFileSync } from 'node:fs';
import { connectEnvironment, type Environment, type EnvironmentState } from '../env/environment.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';

/** Names the file with the environment's state. */
export const ENVIRONMENT_VARIABLE = 'E2E_ENVIRONMENT';

export interface Suite extends Environment {
  /** The suite's own; everything in it goes with it. */
  namespace: string;
}

/**
 * To be called at the top of a suite: connects before its tests and cleans up after them (its hosts, managers and namespace).
 * @param name of the suite; its namespace begins with it.
 * @returns the suite's environment, for use inside tests and hooks.
 */
export function sharedEnvironment(name: string): () => Suite {
  let suite: Suite | undefined;
  const hosts: Host[] = [];
  const operators: Operator[] = [];
  beforeAll(async () => {
    const path = process.env[ENVIRONMENT_VARIABLE];
    if (path === undefined) throw new Error('no environment is running: start the suites by `make e2e`');
    const environment = await connectEnvironment(JSON.parse(readFileSync(path, 'utf8')) as EnvironmentState);
    const namespace = await environment.client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: `${name}-` } });
    suite = { ...tracked(environment, hosts, operators), namespace: namespace.metadata.name };
  });
  afterAll(async () => {
    await Promise.all(operators.map((operator) => operator.kill()));
    await Promise.all(hosts.map((host) => host.destroy()));
    if (suite === undefined) return;
    await suite.client.delete({ apiVersion: 'v1', kind: 'Namespace', name: suite.namespace });
    suite.client.rest.close();
  });
  return () => {
    if (suite === undefined) throw new Error('the environment can be used inside tests and hooks only');
    return suite;
  };
}

/** The environment, remembering what is made with it. */
function tracked(environment: Environment, hosts: Host[], operators: Operator[]): Environment {
  return {
    ...environment,
    async createHost(options) {
      const host = await environment.createHost(options);
      hosts.push(host);
      return host;
    },
    async createHosts(count, options) {
      const created = await environment.createHosts(count, options);
      hosts.push(...created);
      return created;
    },
    async createLoadBalancer(options) {
      const balancer = await environment.createLoadBalancer(options);
      hosts.push(balancer.host);
      return balancer;
    },
    async startOperator(options) {
      const operator = await environment.startOperator(options);
      operators.push(operator);
      return operator;
    },
  };
}
