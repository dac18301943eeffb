import { terminal } from './terminal.ts';

const picture = terminal('clusterctl.md', 'See how it is');

test('shows the command and each line of what it wrote, in place', () => {
  const rows = [...picture.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, row = '']) => row.replaceAll(/<[^>]*>/g, ''));
  expect(rows[0]).toBe('$ clusterctl describe cluster my-cluster --show-conditions all');
  expect(rows[1]).toMatch(/^NAME {10,}REPLICAS AVAILABLE READY/);
  expect(rows.some((row) => /^ {4}│ {15}├─HostReserved {20,}Unknown {2}WaitingForHost /.test(row))).toBe(true);
});

test.each([
  ['a condition that is met', 'True', 'Available', '#6ccb5f'],
  ['one that is not', 'False', 'Available', '#f4736b'],
  ['one that waits', 'Unknown', 'HostReserved', '#e5c453'],
  ['not paused', 'False', 'Paused', '#6ccb5f'],
])('%s has its colour', (_, status, type, colour) => {
  expect(picture).toMatch(new RegExp(`[─ ]${type} +<tspan fill="${colour}">${status}</tspan>`));
});
