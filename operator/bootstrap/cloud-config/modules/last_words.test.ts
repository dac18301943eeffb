import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, planOf, refusalOf } from '../testing.ts';

test('a reboot is the last step, wherever the key stands', () => {
  const { steps } = planOf(
    'power_state: {mode: reboot, delay: "+5", message: bye, timeout: 30, condition: [test, -e, "/a b"]}\nruncmd: [ls]\nfinal_message: x',
  );
  expect(steps.map((step) => step.name)).toEqual(['runcmd[0]', 'final_message', 'power_state']);
  expect(steps.at(-1)).toEqual({
    kind: 'power',
    name: 'power_state',
    mode: 'reboot',
    delay: 5,
    message: 'bye',
    condition: "'test' -e '/a b'\n",
  });
});

test.each([
  'power_state:',
  'power_state: {mode: reboot, condition: false}',
  'final_message: " "',
  'growpart: {mode: off, devices: [/]}',
  'resize_rootfs: false',
])('%s: nothing to do', (yaml) => expect(planOf(yaml)).toEqual({ steps: [], findings: [] }));

test('a host that stays off is told; so is output, which stays with the runner', () => {
  expect(
    planOf(
      'power_state: {mode: poweroff, delay: now}\noutput: {all: "| tee -a /var/log/x.log", init: {output: "> a", error: "&1"}, final: [a, b]}',
    ).findings,
  ).toEqual(['KeyWithoutEffect output', 'StaysOff power_state.mode']);
});

test.each([
  ['power_state: {mode: sleep}', 'power_state.mode (line 1): expected reboot, poweroff or halt'],
  ['power_state: {mode: reboot, delay: soon}', 'power_state.delay (line 1): is not now, nor a number of minutes'],
  ['output: {all: [a, b, c]}', 'output.all (line 1): '],
  ['growpart: {mode: auto}', 'growpart'],
  ['resize_rootfs: true', 'resize_rootfs (line 1): a partition of a running system is not resized'],
  ['phone_home: {url: x}', 'phone_home (line 1): this key is not supported: the operator follows the run itself'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

const snaps = (yaml: string) => commandsOf(`snap: ${yaml}`).map(({ name, script }) => [name, script]);

test('commands of snap in their order, with its name where a list lacks it', () => {
  expect(snaps('{commands: {"10": [install, b], 2: snap install a, 03: [snap, x], c: [null, echo, "a b"]}}')).toEqual([
    ['snap.commands.2', 'snap install a\n'],
    ['snap.commands.03', "'snap' x\n"],
    ['snap.commands.10', "'snap' install b\n"],
    ['snap.commands.c', "'echo' 'a b'\n"],
  ]);
  expect(snaps('{commands: [snap refresh]}')).toEqual([['snap.commands[0]', 'snap refresh\n']]);
});

test.each(['snap: {commands: [1]}', 'snap: {classic: true}'])('%s is refused', (yaml) => expect(refusalOf(yaml)).toMatch(/^snap\./));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test.each([
    ['up $UPTIME, {{ version }}: ${x} 100% version', /^up \d+\.\d\d, remote: \$\{x\} 100% version\n$/],
    ["it's\\ndone", /^it's\\ndone\n$/],
    ['## template: jinja\nat {{timestamp}}', /^at \w{3}, \d+ \w+ \d{4} [\d:]+ [+-]\d{4}\n$/],
  ])('last words: %j', (words, expected) => {
    using host = new Sandbox();
    const [step] = commandsOf(`final_message: ${JSON.stringify(words)}`);
    const { code, output } = host.run(step?.script ?? '', shell);
    expect(code).toBe(0);
    expect(output).toMatch(expected);
  });

  test('assertions are acknowledged in one file, which does not stay', () => {
    using host = new Sandbox();
    host.stub('snap', 'cat "$2" >>/calls; exit 3');
    const [step] = commandsOf('snap: {assertions: ["type: a", "type: b"]}');
    expect(host.run(step?.script ?? '', shell).code).toBe(3);
    expect(host.calls()).toEqual([expect.stringMatching(/^snap ack \/tmp\//), 'type: a', 'type: b']);
    expect(host.run('ls /tmp').output).toBe('script\n');
  });
});
