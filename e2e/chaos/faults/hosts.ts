/** On the hosts. Those that are off or being restarted by another fault are left out. */
import type { Fault } from './fault.ts';
import type { Place } from '../world.ts';

const STATE = '/var/lib/cluster-api-provider-remote';

/** Does it to a host that no other fault has, and gives that back afterwards. */
async function alone(place: Place, work: () => Promise<void>): Promise<void> {
  if (place.taken || !place.host.running) return;
  place.taken = true;
  await work();
  place.taken = false;
}

export const hostFaults: Fault[] = [
  {
    name: 'host rebooted',
    lasts: 0,
    begin: async ({ world, random }) => {
      const place = random.of(world.places);
      await alone(place, () => place.host.reboot());
      return undefined;
    },
  },
  {
    name: 'host off',
    lasts: 6_000,
    begin: async ({ world, random }) => {
      const place = random.of(world.places);
      if (place.taken || !place.host.running) return undefined;
      place.taken = true;
      await place.host.powerCut();
      return async () => {
        await place.host.start();
        place.taken = false;
      };
    },
  },
  {
    name: 'sshd restarted',
    lasts: 0,
    begin: async ({ world, random }) => {
      const place = random.of(world.places);
      await alone(place, async () => {
        await place.host.stopSSHD();
        await place.host.startSSHD();
      });
      return undefined;
    },
  },
  {
    name: 'disk full',
    lasts: 4_000,
    begin: async ({ world, random }) => {
      const { host, taken } = random.of(world.places);
      if (taken || !host.running) return undefined;
      await host.exec('dd if=/dev/zero of=/var/full bs=64k 2>/dev/null; :');
      return async () => {
        if (host.running) await host.exec('rm -f /var/full');
      };
    },
  },
  {
    name: 'read-only file system',
    lasts: 4_000,
    begin: async ({ world, random }) => {
      const { host, taken } = random.of(world.places);
      if (taken || !host.running) return undefined;
      await host.exec(`mkdir -p ${STATE} && mount --bind ${STATE} ${STATE} && mount -o remount,bind,ro ${STATE}`);
      return async () => {
        if (host.running) await host.exec(`umount --lazy ${STATE}`);
      };
    },
  },
];
