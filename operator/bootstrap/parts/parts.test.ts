import { gzipSync } from 'node:zlib';
import { BootstrapDataError, type Plan, type Step } from '../plan.ts';
import { planBootstrap } from '../planner.ts';

interface Part {
  type?: string;
  name?: string;
  headers?: string[];
  body: string | Buffer;
}

/** As `cloud-init devel make-mime` writes it. */
function mime(...parts: Part[]): string {
  const bodies = parts.map(({ type = 'text/plain', name, headers = [], body }) =>
    [
      '--===1==',
      `Content-Type: ${type}; charset="us-ascii"`,
      'MIME-Version: 1.0',
      ...(typeof body === 'string' ? [] : ['Content-Transfer-Encoding: base64']),
      ...(name === undefined ? [] : [`Content-Disposition: attachment;\n filename="${name}"`]),
      ...headers,
      '',
      typeof body === 'string' ? body : body.toString('base64').replaceAll(/.{76}/g, '$&\n'),
    ].join('\n'),
  );
  return `Content-Type: multipart/mixed; boundary="===1=="\nMIME-Version: 1.0\n\npreamble\n${bodies.join('\n')}\n--===1==--\n`;
}

const plan = (text: string): Plan => planBootstrap({ value: Buffer.from(text) }, { hostname: 'h', instanceID: 'i-1' });
const shown = (steps: Step[]) => steps.map((step) => [step.name, step.kind === 'command' ? step.script : step.kind]);
const refusal = (text: string): string => {
  try {
    plan(text);
  } catch (error) {
    if (error instanceof BootstrapDataError) return `${error.reason} ${error.message}`;
    throw error;
  }
  throw new Error('not refused');
};
const config = (command: string): string => `#cloud-config\nruncmd: [${command}]\n`;

test('a multi-part document: boothooks first, scripts in the order of their names beside runcmd', () => {
  const { steps, findings } = plan(
    mime(
      { type: 'text/x-shellscript', name: 'z/late', body: '#!/bin/sh\necho late\n' },
      { type: 'text/x-shellscript', body: '#!/bin/sh\r\necho second\r\n' },
      { type: 'text/cloud-config', body: config('config') },
      { type: 'text/cloud-boothook', body: '#cloud-boothook\n#!/bin/sh\necho hook\n' },
      { type: 'text/x-shellscript-per-boot', name: 'boot', body: '#!/bin/sh\necho boot\n' },
      { type: 'text/x-shellscript-per-once', name: 'once', body: '#!/bin/sh\necho once\n' },
      { body: '#!/usr/bin/env python3\nprint(1)\n' },
      { body: '\n' },
    ),
  );
  expect(shown(steps)).toEqual([
    ['boothook part-004', '#!/bin/sh\necho hook\n'],
    ['script once', '#!/bin/sh\necho once\n'],
    ['script boot', '#!/bin/sh\necho boot\n'],
    ['script part-002', '#!/bin/sh\necho second\n'],
    ['script part-007', '#!/usr/bin/env python3\nprint(1)\n'],
    ['runcmd[0]', 'config'],
    ['script z_late', '#!/bin/sh\necho late\n'],
  ]);
  expect(steps[0]).toMatchObject({ interpreter: ['env', 'INSTANCE_ID=i-1'] });
  expect(findings.map(({ reason, path }) => `${reason} ${path}`)).toEqual(['RunsOnceOnly part-004', 'RunsOnceOnly boot']);
});

test('cloud-config parts are merged, by default key by key, or as the part says', () => {
  const merged = (header: string[]) => shown(plan(mime({ body: config('a') }, { body: config('b'), headers: header })).steps);
  expect(merged([])).toEqual([['runcmd[0]', 'b']]);
  const both = [
    ['runcmd[0]', 'a'],
    ['runcmd[1]', 'b'],
  ];
  expect(merged(['Merge-Type: list(append)+dict(recurse_list)+str()'])).toEqual(both);
  expect(merged(['X-Merge-Type: list(append)+dict(recurse_list)+str()'])).toEqual(both);
});

test('parts may be compressed, encoded, templates, and multi-part themselves', () => {
  const template = '## template: jinja\n#cloud-config\nruncmd: [echo {{ v1.instance_id }}, "{{ nothing }}"]\n';
  const inner = mime({
    type: 'application/x-gzip',
    body: gzipSync(config('packed')),
    headers: ['Merge-Type: list(append)+dict(recurse_list)'],
  });
  const quoted = '#cloud-config=0Aruncmd: [=\nquoted, =C3=A9]';
  const parts = [
    { type: 'text/jinja2', body: template },
    {
      type: 'text/cloud-config',
      headers: ['Content-Transfer-Encoding: quoted-printable', 'Merge-Type: list(append)+dict(recurse_list)'],
      body: quoted,
    },
  ];
  const [, boundaryless] = inner.split('MIME-Version: 1.0\n\npreamble\n');
  const nested = `--===1==\nContent-Type: multipart/mixed; boundary="===2=="\n\n${(boundaryless ?? '').replaceAll('===1==', '===2==')}`;
  const text = mime(...parts)
    .replace('--===1==--', `${nested}\n--===1==--`)
    .replaceAll('charset="us-ascii"', 'charset=utf-8');
  const { steps, findings } = plan(text.replaceAll('\n', '\r\n'));
  expect(shown(steps).map(([, script]) => script)).toEqual(['echo i-1', 'CI_MISSING_JINJA_VAR/nothing', 'quoted', 'é', 'packed']);
  expect(findings).toMatchObject([{ reason: 'TemplateVariableMissing' }]);
});

test('an archive is a list of parts', () => {
  const { steps } = plan(
    `#cloud-config-archive
- type: text/x-shellscript
  filename: late
  content: |
    #!/bin/sh
    echo script
- |
  #cloud-config
  runcmd: [a]
- content: |
    runcmd: [b]
  Merge-Type: list(append)+dict(recurse_list)
- !!binary ${Buffer.from('#cloud-boothook\n#!/bin/sh\necho hook\n').toString('base64')}
- type: text/cloud-config
  content: ''
`.replace('- !!binary', '- content: !!binary'),
  );
  expect(shown(steps)).toEqual([
    ['boothook part-004', '#!/bin/sh\necho hook\n'],
    ['script late', '#!/bin/sh\necho script\n'],
    ['runcmd[0]', 'a'],
    ['runcmd[1]', 'b'],
  ]);
});

test('a boothook alone, and scripts with the same name', () => {
  expect(shown(plan('#cloud-boothook\n#!/bin/sh\nls\n').steps)).toEqual([['boothook', '#!/bin/sh\nls\n']]);
  const twice = plan(mime({ name: 'a', body: '#!/bin/sh\none\n' }, { name: 'a', body: '#!/bin/sh\ntwo\n' }));
  expect(shown(twice.steps)).toEqual([['script a', '#!/bin/sh\ntwo\n']]);
  expect(twice.findings).toMatchObject([{ reason: 'DuplicatePart', path: 'a' }]);
});

test('a script with the name that cloud-init gives to the commands of runcmd runs, unless there are some', () => {
  const script = { name: 'runcmd', body: '#!/bin/sh\nscript\n' };
  const alone = plan(mime({ body: '#cloud-config\nbootcmd: [a]\n' }, script));
  expect(shown(alone.steps).at(-1)).toEqual(['script runcmd', '#!/bin/sh\nscript\n']);
  const both = plan(mime({ body: config('a') }, script));
  expect(shown(both.steps)).toEqual([['runcmd[0]', 'a']]);
  expect(both.findings).toMatchObject([{ reason: 'DuplicatePart', path: 'runcmd' }]);
});

test('a part is UTF-8 whatever character set it names, which counts only where it is not', () => {
  const named = (charset: string, bytes: Buffer) =>
    shown(plan(mime({ body: bytes }).replace('us-ascii', charset)).steps).map(([, command]) => command);
  const text = Buffer.from(config('echo é☃'));
  for (const charset of ['us-ascii', 'iso-8859-1', 'utf-8', 'no-such']) expect(named(charset, text)).toEqual(['echo é☃']);
  expect(shown(plan(mime({ body: config('echo é☃') })).steps)).toEqual([['runcmd[0]', 'echo é☃']]);
  expect(named('iso-8859-1', Buffer.from(config('echo é'), 'latin1'))).toEqual(['echo é']);
  expect(() => named('us-asci', Buffer.from(config('echo é'), 'latin1'))).toThrow('not in the character set that it names');
});

test('problems are told with part and line', () => {
  const second = { name: 'two.yaml', body: '#cloud-config\n\nunheard: 1\n' };
  expect(refusal(mime({ body: config('a') }, second))).toBe(
    'BootstrapKeyUnsupported the bootstrap data cannot be carried out: unheard (two.yaml, line 3): this key is not supported',
  );
  expect(plan(mime({ body: '#cloud-config\nbootcmd: [a]\n' })).findings).toMatchObject([{ path: 'bootcmd', part: 'part-001', line: 2 }]);
});

test.each([
  ['an include', mime({ type: 'text/x-include-url', body: 'https://example.org' }), /^BootstrapFormatUnsupported part-001: an #include/],
  ['a part handler', mime({ body: '#part-handler\n' }), /^BootstrapFormatUnsupported part-001: a #part-handler/],
  [
    'an unknown type',
    mime({ type: 'image/png', body: 'x' }),
    /^BootstrapFormatUnsupported part-001: it has a type that cloud-init does not know/,
  ],
  ['prose', mime({ body: 'Hello' }), /^BootstrapFormatUnsupported part-001: it has a type/],
  ['PowerShell', mime({ body: '#ps1_sysnative\nls' }), /^BootstrapFormatUnsupported part-001: PowerShell/],
  ['a cut document', mime({ body: config('a') }).slice(0, -12), /^BootstrapDataInvalid .*it is cut off/],
  ['no boundary', 'Content-Type: multipart/mixed\nMIME-Version: 1.0\n\nx', /^BootstrapDataInvalid .*names no boundary/],
  ['a broken header', 'Content-Type: ///\nMIME-Version: 1.0\n\nx', /^BootstrapDataInvalid .*Content-Type cannot be read/],
  ['a broken YAML', mime({ body: '#cloud-config\na: [' }), /^BootstrapDataInvalid part-001: line \d+: is not valid YAML/],
  ['a list', mime({ type: 'text/cloud-config', body: '- a' }), /^BootstrapDataInvalid part-001, line 1: a cloud-config document is a map/],
  ['nothing in it', mime({ body: ' \n' }), /^BootstrapDataEmpty/],
  ['a bomb', mime({ type: 'application/gzip', body: gzipSync(Buffer.alloc(9 << 20, 0x20)) }), /^BootstrapDataTooLarge/],
  [
    'two that are too large together',
    mime(
      ...[1, 2].map(() => ({
        type: 'application/gzip',
        body: gzipSync(Buffer.concat([Buffer.from('#!\n'), Buffer.alloc(5 << 20, 0x20)])),
      })),
    ),
    /^BootstrapDataTooLarge part-002/,
  ],
  [
    'an unknown encoding',
    mime({ body: 'x', headers: ['Content-Transfer-Encoding: x-uuencode'] }),
    /^BootstrapDataInvalid .*Transfer-Encoding/,
  ],
  ...['text/x-shellscript', 'text/x-shellscript-per-boot', 'text/cloud-boothook'].map((type): [string, string, RegExp] => [
    `${type} without an interpreter`,
    mime({ type, body: 'echo hi\n' }),
    /^BootstrapFormatUnsupported part-001: it is a script that does not begin with #!/,
  ]),
  ['a boothook without an interpreter', '#cloud-boothook\necho hi\n', /^BootstrapFormatUnsupported it is a script that does not begin/],
  ['a template of one', '## template: jinja\n#cloud-boothook\necho hi\n', /^BootstrapFormatUnsupported it is a script/],
  ['an archive that is no list', '#cloud-config-archive\na: 1', /^BootstrapDataInvalid the #cloud-config-archive document is no list/],
  ['an entry without text', '#cloud-config-archive\n- 5', /^BootstrapDataInvalid .*neither a text nor a map: part-001/],
  [
    'a template without #cloud-config after its header',
    '## template: jinja\nruncmd: [a]\n',
    /^BootstrapFormatUnsupported .*cloud-init would pass over/,
  ],
  [
    'a part that is such a one',
    mime({ type: 'text/jinja2', body: '## template: jinja\n{{ region }}: a' }),
    /^BootstrapFormatUnsupported part-001: /,
  ],
])('refused: %s', (_, text, message) => expect(refusal(text)).toMatch(message));
