/** Servers that misbehave, on loopback: for what a healthy sshd never does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export class FakeServer {
  readonly port: number;
  /** The connections that are open. */
  readonly sockets = new Set<Socket>();
  readonly #stop: () => Promise<void>;

  private constructor(port: number, stop: () => Promise<void>) {
    this.port = port;
    this.#stop = stop;
  }

  /** Accepts connections and hands them to `serve`; errors of the sockets are not told. */
  static async start(serve: (socket: Socket) => void): Promise<FakeServer> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const fake = new FakeServer((server.address() as AddressInfo).port, async () => {
      for (const socket of fake.sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
    server.on('connection', (socket) => {
      fake.sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => fake.sockets.delete(socket));
      serve(socket);
    });
    return fake;
  }

  /** Passes bytes on to another port. */
  static async proxy(port: number): Promise<FakeServer> {
    return FakeServer.start((socket) => {
      const onward = connect(port, '127.0.0.1');
      onward.on('error', () => socket.destroy()).on('close', () => socket.destroy());
      socket.on('close', () => onward.destroy());
      socket.pipe(onward).pipe(socket);
    });
  }

  /** Resets every open connection (RST), as a firewall or a crashed host does. */
  reset(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Stops reading and writing on every open connection without closing any, as a cut cable does. */
  freeze(): void {
    for (const socket of this.sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** Resolves when every client has closed its side. */
  async abandoned(): Promise<void> {
    await Promise.all(
      [...this.sockets].map(async (socket) => {
        if (socket.readableEnded || socket.closed) return;
        socket.resume(); // an end is only seen while reading
        await Promise.race([once(socket, 'end'), once(socket, 'close')]).catch(() => undefined);
      }),
    );
  }

  async stop(): Promise<void> {
    await this.#stop();
  }
}

/** A port where connections are neither accepted nor refused: its process sleeps and its backlog is full. */
export async function blackhole(): Promise<{ port: number; stop: () => Promise<void> }> {
  const program = `const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [data] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(data.toString());
  const fillers: Socket[] = [];
  for (;;) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    fillers.push(socket);
    if (!(await connectsWithin(socket, 300))) break;
  }
  return {
    port,
    stop: async () => {
      for (const socket of fillers) socket.destroy();
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

async function connectsWithin(socket: Socket, milliseconds: number): Promise<boolean> {
  return once(socket, 'connect', { signal: AbortSignal.timeout(milliseconds) }).then(
    () => true,
    () => false,
  );
}

/** Waits until the process has no more sockets and timers than `before`, which resources() gave; tells what is too many. */
export async function settled(before: Record<string, number>): Promise<Record<string, number>> {
  for (let turn = 0; turn < 50; turn++) {
    if (Object.keys(excess(before)).length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return excess(before);
}

/** How many sockets, requests and timers keep the process alive, by kind. */
export function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) if (/TCP|Timeout|GetAddr/.test(kind)) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function excess(before: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(resources()).filter(([kind, count]) => count > (before[kind] ?? 0)));
}
