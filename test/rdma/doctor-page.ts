/**
 * Writes docs/doctor.md: what `rdma-net doctor` says of the lab's guest, as it is and with each fault.
 *
 *     npm run --silent lab -- run --cpus 2 node dist/test/rdma/doctor-page.js > docs/doctor.md
 *
 * With a part of its title as an argument it shows one fault only.
 */
import { examine, shell } from './examine';
import { faults, prepareGuest, type Fault } from './faults';
import { root } from './program';

const HEAD = `# What \`rdma-net doctor\` finds

<!-- Written by test/rdma/doctor-page.ts; do not edit. -->

\`npx rdma-net doctor\` looks at everything that RDMA and shared memory need on a machine, tries it, and
says for whatever is not right what changes it. It changes nothing itself, and needs no root. Run it
as the user, in the container and with the environment of the program that it is about. It exits with
0 when there is no problem, with 1 when there is one, and with 2 when the configuration has a mistake.

\`--problems\` leaves out what is right. \`--json\` gives one object: after the
[head](operations.md#for-scripts) \`checks\` (each with \`id\`, \`state\`, \`text\`, and where it is not \`ok\` a \`fix\` of some lines and perhaps the
\`reason\` that sockets have for being on TCP), \`facts\` (what was found out, as in
\`lib/doctor/facts.ts\`) and \`verdict\`. Ids never change their meaning.

| \`id\` | What is looked at |
| --- | --- |
| \`system\`, \`node\`, \`node-internals\` | Kernel, distribution, user and container; the version of Node, and whether it is one that rdma-net knows. |
| \`permission-model\` | Whether Node's permission model refuses addons. |
| \`mode\`, \`rule\`, \`variable\` | What the environment asks for, and variables in it that mean nothing. |
| \`addon\`, \`addon-verbs\` | Whether the addon loads, and was built with RDMA. |
| \`local\` | A message of this process to itself over shared memory. |
| \`local-names\` | Whether the names of ports for shared memory are held by other users than the servers at these ports. |
| \`library\` | librdmacm and libibverbs: found, loaded, version, functions. |
| \`modules\` | ib_core, ib_uverbs, rdma_cm and rdma_ucm of the kernel. |
| \`device-files\` | Whether this user may open the files of /dev/infiniband. |
| \`namespace\` | Whether devices, and the network devices under them, are in this network namespace. |
| \`memory-lock\` | The limit of locked memory, and how many connections it allows. The kernel counts for each process by itself. |
| \`udp-4791\` | Rules of nftables and iptables that name the port, and policies (shown to root); whether its packets may leave. |
| \`device\` | Each RDMA device: driver, model, firmware; what there could be where there is none. |
| \`provider\` | The plug-in of libibverbs for each device. |
| \`port\`, \`mtu\`, \`gid\` | State, link layer, rate and MTU of each port, and whether it has an IP address. |
| \`opening\` | Whether libraries and devices open and listen. |
| \`address\` | The device and GID of each address of this host, and a connection of this process to itself there. |

What follows was written by a command, which runs it in the lab: a guest with the software RDMA of
Linux. Each fault is made there for real, looked at, and healed again, and the tests do the same. The
folder of rdma-net is shown as \`${shown('')}\`; times are those of an emulated processor.

\`\`\`sh
npm run --silent lab -- run --cpus 2 node dist/test/rdma/doctor-page.js > docs/doctor.md
npx prettier --write docs/doctor.md
\`\`\`
`;

function shown(text: string): string {
  return text === '' ? '/srv/rdma-net' : text.replaceAll(root, '/srv/rdma-net');
}

/** As one would type it. */
function commandOf({ wrapper = [], flags = [], environment = {} }: Fault): string {
  const quote = (word: string): string => (/^[\w=,./:@-]+$/.test(word) ? word : `'${word}'`);
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${quote(value)}`);
  const options = flags.length === 0 ? [] : [`NODE_OPTIONS='${flags.join(' ')}'`];
  const variables = [...settings, ...options];
  const env = wrapper.length > 0 && variables.length > 0 ? ['env'] : [];
  const words = [...wrapper.map(quote), ...env, ...variables, 'npx rdma-net doctor --problems'];
  return words.join(' ');
}

function print(text: string): void {
  process.stdout.write(`${shown(text)}\n`);
}

function printExample(commands: readonly string[], output: string, code: number | null): void {
  const lines = [...commands.map((command) => `$ ${command}`), output.trimEnd(), '$ echo $?', code];
  print(`\n\`\`\`console\n${lines.join('\n')}\n\`\`\``);
}

async function main(): Promise<void> {
  await prepareGuest();
  process.stdout.write(HEAD);
  print('\n## Nothing is wrong');
  const { code, output } = await examine({});
  printExample(['npx rdma-net doctor'], output, code);
  const [part = ''] = process.argv.slice(2);
  for (const fault of faults().filter(({ title }) => title.includes(part))) {
    const trouble = await shell(fault.make ?? []);
    const examination = await examine(fault, '--problems');
    const left = await shell(fault.heal ?? []);
    if (trouble !== '' || left !== '') throw new Error(trouble + left);
    print(`\n## ${fault.title}`);
    const commands = [...(fault.make ?? []), commandOf(fault)];
    printExample(commands, examination.output, examination.code);
  }
}

void main();
