import { existsSync, readdirSync } from 'node:fs';
import { cleanupOf, CLAIMANT, LocalHost, RUN, USERLANDS } from './testing/local.ts';
import { stalled } from './testing/stalled.ts';

jest.setTimeout(120_000);

const ignore = (): void => undefined;
const claiming = (host: LocalHost, tool: string, pattern: string) =>
  stalled(host, (slowly) => slowly(new AbortController().signal).claim(CLAIMANT, cleanupOf(['true'])), tool, pattern);

describe.each(Object.entries(USERLANDS))('on %s a claim that waits for its disk', (_, userland) => {
  test.each([
    ['with nothing made yet', 'mkdir', '*/new.*'],
    ['while its plan is uploaded', 'mkdir', '*/cleanup'],
    ['when it is whole', 'sync', '*/new.*'],
    ['when it is about to be put in place', 'mv', '*/new.*'],
  ])('%s does not come after the host was found free', async (_when, tool, pattern) => {
    await using host = new LocalHost(userland());
    const { work, goOn } = await claiming(host, tool, pattern);
    expect(await host.runner().inspect('')).toMatchObject({ holder: undefined });
    expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
    goOn();
    expect(await work).toMatchObject([{ status: 'rejected' }]);
    expect(existsSync(host.claim())).toBe(false);
    expect([...readdirSync(host.paths.state), ...readdirSync(host.paths.volatile)]).toEqual([]);
  });

  test('does not come after another one of the same run had the host and gave it back', async () => {
    await using host = new LocalHost(userland());
    const { work, goOn } = await claiming(host, 'sync', '*/new.*');
    await host.runner().claim(CLAIMANT, cleanupOf(['true']));
    expect(await host.runner().clean(RUN, ignore)).toEqual({ outcome: 'Clean', ran: false });
    goOn();
    expect(await work).toMatchObject([{ status: 'rejected' }]);
    expect(existsSync(host.claim())).toBe(false);
  });

  test('is not disturbed by what becomes of another run', async () => {
    await using host = new LocalHost(userland());
    const { work, goOn } = await claiming(host, 'sync', '*/new.*');
    const other = { ...CLAIMANT, runID: `${RUN}1` };
    await host.runner().claim(other, cleanupOf(['true']));
    await host.runner().clean(other.runID, ignore);
    goOn();
    expect(await work).toMatchObject([{ status: 'fulfilled', value: { state: { phase: 'Claimed' } } }]);
    expect(readdirSync(host.paths.volatile)).toEqual([]);
  });
});
