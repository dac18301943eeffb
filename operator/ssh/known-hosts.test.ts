import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { knownHostsLines, matchesPattern } from './known-hosts.ts';

const KEY = 'ssh-ed25519 AAAA';
const found = (text: string, address: string, port = 22): string[] => knownHostsLines(text, { address, port }).map((line) => line.key);

describe('names', () => {
  test.each<[hosts: string, address: string, port: number, matches: boolean]>([
    ['host', 'host', 22, true],
    ['host', 'HOST', 22, true],
    ['HOST', 'host', 22, true],
    ['host', 'hostile', 22, false],
    ['other,host,10.0.0.1', '10.0.0.1', 22, true],
    ['*.example.com', 'a.example.com', 22, true],
    ['*.example.com', 'example.com', 22, false],
    ['10.0.0.?', '10.0.0.7', 22, true],
    ['10.0.0.?', '10.0.0.17', 22, false],
    ['*.example.com,!bad.example.com', 'bad.example.com', 22, false],
    ['!bad.example.com,*.example.com', 'good.example.com', 22, true],
    ['!good.example.com', 'bad.example.com', 22, false],
    ['[host]:2222', 'host', 2222, true],
    ['[host]:2222', 'host', 22, false],
    ['[host]:2222', 'host', 2223, false],
    ['[*.example.com]:2222', 'a.example.com', 2222, true],
    ['host', 'host', 2222, true], // no line has the port
    ['::1', '::1', 22, true],
    ['2001:db8::1', '2001:DB8:0:0::1', 22, true],
    ['[2001:db8::1]:2222', '2001:db8::1', 2222, true],
    ['h.st', 'host', 22, false],
    ['h[o]st', 'host', 22, false],
  ])('%s and %s port %i: %s', (hosts, address, port, matches) => {
    expect(found(`${hosts} ${KEY} comment\n`, address, port)).toEqual(matches ? [`${KEY} comment`] : []);
  });

  test('a line with the port wins over the plain name', () => {
    expect(found('host ssh-rsa PLAIN\n[host]:2222 ssh-rsa PORT\n', 'host', 2222)).toEqual(['ssh-rsa PORT']);
  });
});

describe('lines', () => {
  test('comments, blank lines, CRLF, indentation and broken lines are passed over', () => {
    const text = `# host ${KEY}\r\n\r\n   \r\n  host ${KEY}1\r\nhost\r\nhost ssh-rsa\r\n@unknown host ${KEY}2\r\n\thost\t${KEY}3`;
    expect(found(text, 'host')).toEqual([`${KEY}1`, `${KEY}3`]);
  });

  test('markers are told', () => {
    const lines = knownHostsLines(`@revoked * ${KEY}\n@cert-authority *.example.com ${KEY}\na.example.com ${KEY}\n`, {
      address: 'a.example.com',
      port: 22,
    });
    expect(lines.map((line) => line.marker)).toEqual(['revoked', 'cert-authority', undefined]);
  });

  test('any text is read without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, address) => {
        knownHostsLines(text, { address, port: 22 });
        knownHostsLines(`${text} ${text}\n@revoked ${text}|1|${text}`, { address: text, port: 1 });
      }),
    );
  });
});

describe('hashed by ssh-keygen -H', () => {
  let directory: string;
  beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'known-hosts-'))));
  afterAll(() => rmSync(directory, { recursive: true }));

  test.each<[string, number]>([
    ['node.example.com', 22],
    ['node.example.com', 2222],
    ['10.1.2.3', 22],
    ['2001:db8::5', 2222],
  ])('%s port %i', (address, port) => {
    const path = join(directory, `${address}-${port}`);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${path}.key`]);
    const publicKey = readFileSync(`${path}.key.pub`, 'utf8').trim();
    writeFileSync(path, `${port === 22 ? address : `[${address}]:${port}`} ${publicKey}\n`);
    execFileSync('ssh-keygen', ['-q', '-H', '-f', path], { stdio: 'ignore' });
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(/^\|1\|/);
    expect(found(text, address, port)).toEqual([publicKey]);
    expect(found(text, 'other', port)).toEqual([]);
  });
});

describe('patterns', () => {
  test('agree with a regular expression', () => {
    const glob = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
    fc.assert(
      fc.property(glob, name, (pattern, text) => {
        const regexp = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);
        expect(matchesPattern(pattern, text)).toBe(regexp.test(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('many stars take no longer', () => {
    expect(matchesPattern(`${'*a'.repeat(500)}b`, 'a'.repeat(5000))).toBe(false);
  });
});
