/** Free TCP ports for servers of the environment. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { randomInt } from 'node:crypto';

/**
 * Below the ports that the kernel gives to connections by default: one of those is taken by the next connection, of whichever process,
 * before the server that it was meant for listens. Random, so that runs side by side don't choose the same.
 */
const [FIRST, END] = [12_000, 32_768];

/** `count` different ports of the loopback address that nothing listens on. */
export async function freePorts(count: number): Promise<number[]> {
  // All are held open until the last is found, so that they differ.
  const held = await Promise.all(Array.from({ length: count }, holdFreePort));
  for (const { server } of held) {
    server.close();
    await once(server, 'close');
  }
  return held.map(({ port }) => port);
}

async function holdFreePort(): Promise<{ port: number; server: Server }> {
  for (;;) {
    const port = randomInt(FIRST, END);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      return { port, server };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}
