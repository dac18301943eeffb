/** On the hosts, one of them at a time each. */
import type { Reason } from '../../../apis/infrastructure/conditions.ts';
import type { Place } from '../world.ts';
import type { Fault, Mend } from './fault.ts';

const STATE = '/var/lib/cluster-api-provider-remote';

/** Befalls a host that no other one of these has; `work` returns what ends it, or nothing where it is over. */
const hostFault = (name: string, lasts: number, work: (place: Place) => Promise<Mend | undefined>): Fault => ({
  name,
  lasts,
  begin: async ({ world, random }) => {
    const place = random.of(world.places);
    if (place.taken) return undefined;
    place.taken = true;
    place.befell.add(name);
    const mend = await work(place);
    if (mend !== undefined)
      return async () => {
        await mend();
        place.taken = false;
      };
    place.taken = false;
    return undefined;
  },
});

/** What may lead to a machine's failure for good -> the faults that do so. */
export const REASONS: Partial<Record<Reason, string[]>> = {
  HostRebooted: ['host rebooted', 'host off'],
  BootstrapFailed: ['disk full', 'read-only file system'],
  SentinelMissing: ['disk full'],
};

export const hostFaults: Fault[] = [
  hostFault('host rebooted', 0, async ({ host }) => {
    await host.reboot();
    return undefined;
  }),
  hostFault('host off', 6_000, async ({ host }) => {
    await host.powerCut();
    return () => host.start();
  }),
  hostFault('sshd restarted', 0, async ({ host }) => {
    await host.stopSSHD();
    await host.startSSHD();
    return undefined;
  }),
  hostFault('disk full', 4_000, async ({ host }) => {
    await host.exec('dd if=/dev/zero of=/var/full bs=64k 2>/dev/null; :');
    return async () => {
      await host.exec('rm -f /var/full');
    };
  }),
  hostFault('read-only file system', 4_000, async ({ host }) => {
    await host.exec(`mkdir -p ${STATE} && mount --bind ${STATE} ${STATE} && mount -o remount,bind,ro ${STATE}`);
    return async () => {
      await host.exec(`umount --lazy ${STATE}`);
    };
  }),
];
