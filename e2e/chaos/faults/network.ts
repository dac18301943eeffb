/** Between the operator and the hosts. */
import type { Fault, Scene } from './fault.ts';

const onPlace = ({ world, random }: Scene) => random.of(world.places);

export const networkFaults: Fault[] = [
  {
    name: 'every SSH connection cut',
    lasts: 0,
    begin: ({ world }) => {
      for (const { relay } of world.places) relay.cut();
      return Promise.resolve(undefined);
    },
  },
  {
    name: 'SSH connections cut in the middle of an upload',
    lasts: 0,
    begin: ({ world, random }) => {
      for (const { relay } of world.places) relay.bytesLeft = random.integer(1, 60_000);
      return Promise.resolve(undefined);
    },
  },
  {
    name: '300 ms latency and 10 % loss',
    lasts: 8_000,
    begin: async ({ world, random }) => {
      const slow = world.places.filter(() => random.integer(0, 1) === 1);
      for (const { host, relay } of slow) {
        relay.delay = 300;
        if (host.running) await host.loseIncoming(10).catch(() => undefined);
      }
      return async () => {
        for (const { host, relay } of slow) {
          relay.delay = 0;
          if (host.running) await host.loseIncoming(0).catch(() => undefined);
        }
      };
    },
  },
  {
    name: 'packets dropped silently',
    lasts: 60_000,
    begin: async (scene) => {
      const places = [onPlace(scene), onPlace(scene), onPlace(scene)];
      for (const { host } of places) if (host.running) await host.linkDown().catch(() => undefined);
      return async () => {
        for (const { host } of places) if (host.running) await host.linkUp().catch(() => undefined);
      };
    },
  },
];
