/** A TCP load balancer with an address of its own: Debian's haproxy on a light host. */
import { createHost, type Host, type HostingState, type HostOptions } from './hosts.ts';
import type { Run } from './run.ts';

export interface LoadBalancerOptions extends HostOptions {
  /** Port that it listens on, and that it dials where a backend names none. */
  port: number;
  backends: { address: string; port?: number }[];
}

export interface LoadBalancer {
  address: string;
  port: number;
  /** The host that it runs on, for cutting its power or link. */
  host: Host;
  /** Replaces the backends; connections that exist go on. */
  setBackends(backends: LoadBalancerOptions['backends']): Promise<void>;
}

const CONFIG = '/etc/haproxy/load-balancer.cfg';

export async function createLoadBalancer(
  run: Run,
  state: HostingState,
  { port, backends, ...options }: LoadBalancerOptions,
): Promise<LoadBalancer> {
  const host = await createHost(run, state, options);
  const setBackends = async (wanted: LoadBalancerOptions['backends']) => {
    // -sf: the old process hands over its port and ends with its last connection.
    const reload = `cat >${CONFIG} && haproxy -D -f ${CONFIG} -p /run/haproxy.pid $(test ! -e /run/haproxy.pid || echo "-sf $(cat /run/haproxy.pid)")`;
    const { exitCode, stderr } = await host.exec(reload, { input: haproxyConfig(port, wanted) });
    if (exitCode !== 0) throw new Error(`haproxy does not start: ${stderr}`);
  };
  await setBackends(backends);
  return { address: host.address, port, host, setBackends };
}

/** Backends are checked every half second, so that one that is down is out of use soon. */
export function haproxyConfig(port: number, backends: LoadBalancerOptions['backends']): string {
  const servers = backends.map(
    (backend, index) => `  server backend-${index} ${backend.address}:${backend.port ?? port} check inter 500ms fall 2 rise 1`,
  );
  return `global
  maxconn 2000
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen load-balancer
  bind :${port}
  balance roundrobin
${servers.join('\n')}
`;
}
