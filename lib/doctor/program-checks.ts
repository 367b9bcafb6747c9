/** What the doctor makes of Node, of the addon, and of what was asked for. */

import { asRoot, notApplicable, ok, problemOf, warning, type Check } from './check';
import type { Facts, LocalNameFacts, ProcessFacts } from './facts';
import { reasonFor } from '../reasons';

/** Ports that are told of one by one. */
const PORTS_MAX = 4;

export function checkProgram(facts: Facts): Check[] {
  return [
    checkSystem(facts),
    ...checkNode(facts),
    ...checkMode(facts),
    ...checkVariables(facts),
    ...checkAddon(facts),
    checkLocal(facts),
    ...checkTakenNames(facts),
  ];
}

function checkSystem({ system }: Facts): Check {
  const { platform, release, architecture, distributionName, container } = system;
  if (platform !== 'linux') return problemOf('system', reasonFor('platform', platform));
  const parts = [`Linux ${release} ${architecture}`, distributionName, `as ${system.userName}`];
  if (container !== undefined) parts.push(`in a container (${container})`);
  return ok('system', parts.filter((part) => part !== '').join(', '));
}

function checkNode({ system, program }: Facts): Check[] {
  const { nodeVersion, nodeApiVersion, permissionModel, internals } = program;
  const node = ok('node', `${nodeVersion}, Node-API ${nodeApiVersion}`);
  if (permissionModel) {
    const reason = reasonFor('permission-model');
    const fix = [
      'start node without --permission (--experimental-permission), in NODE_OPTIONS too',
    ];
    return [node, problemOf('permission-model', reason, fix)];
  }
  if (internals === undefined || system.platform !== 'linux') return [node];
  return [node, problemOf('node-internals', internals)];
}

function checkMode({ program }: Facts): Check[] {
  const { mode, transports, rules } = program;
  const all = [...transports, ...(mode === 'require' ? [] : ['tcp'])].join(', then ');
  const ruled = rules.map((rule) => ok('rule', rule));
  if (mode !== 'off') return [ok('mode', `${mode}: ${all}`), ...ruled];
  const fix = ['unset RDMA_NET, or RDMA_NET=prefer'];
  return [problemOf('mode', reasonFor('mode-off', 'RDMA_NET=off'), fix)];
}

function checkVariables({ program }: Facts): Check[] {
  return program.unknownVariables.map((name) =>
    warning('variable', `${name} is set, and means nothing to rdma-net.`, [
      `write it as one of those that rdma-net help lists, or unset ${name}`,
    ]),
  );
}

function checkAddon({ system, program }: Facts): Check[] {
  const { addon, permissionModel, rdmaWanted } = program;
  if (system.platform !== 'linux') return [notApplicable('addon', 'not needed here')];
  if (permissionModel) return [notApplicable('addon', 'not loaded: Node refuses addons')];
  if (!addon.loaded) {
    const reason = reasonFor('addon-missing', addon.error);
    return [problemOf('addon', reason, addonRemedies(addon.error))];
  }
  const check = ok('addon', addon.file ?? 'loaded');
  if (addon.hasVerbs || !rdmaWanted) return [check];
  return [check, problemOf('addon-verbs', reasonFor('not-built'))];
}

function addonRemedies(error: string): string[] {
  const rebuild = 'npm rebuild rdma-net --foreground-scripts';
  if (/No native build was found/.test(error)) {
    return [rebuild, 'it needs make, a C++20 compiler, and libibverbs-dev and librdmacm-dev'];
  }
  if (/GLIBC|GLIBCXX|symbol/.test(error)) {
    return [`it was built for another system; build it on this one: ${rebuild}`];
  }
  return [`the file is damaged, or for another system: ${rebuild}`];
}

function checkLocal({ program, local }: Facts): Check {
  if (!program.localWanted) return notApplicable('local', 'shared memory is switched off');
  if (local === undefined) return notApplicable('local', 'shared memory cannot be tried');
  const { reason, roundTripMs } = local;
  if (reason === undefined) {
    return ok('local', `shared memory: a message there and back in ${milliseconds(roundTripMs)}`);
  }
  const fix = reason.fix === '' ? localRemedies(reason.detail) : [reason.fix];
  if (!program.rdmaWanted) return problemOf('local', reason, fix);
  return warning('local', `${reason.text} (${reason.detail})`, fix);
}

function localRemedies(detail: string): string[] {
  if (/EMFILE|ENFILE|descriptor/.test(detail)) return ['raise the limit of open files: ulimit -n'];
  return ['let the process use abstract Unix sockets and memfd_create (seccomp may refuse them)'];
}

function describeProcess({ program, pid, userId }: ProcessFacts): string {
  return `${program} (process ${pid}, user ${userId})`;
}

function checkTakenNames({ system, takenNames }: Facts): Check[] {
  const ports = [...new Set(takenNames.map(({ port }) => port))];
  const checks = ports.slice(0, PORTS_MAX).map((port) =>
    checkTakenPort(
      system,
      port,
      takenNames.filter((one) => one.port === port),
    ),
  );
  const left = ports.length - checks.length;
  if (left === 0) return checks;
  const text = `The names of ${left} more ports for shared memory are taken.`;
  return [...checks, warning('local-names', text, ['as above; --json has all of them'])];
}

function checkTakenPort(
  system: Facts['system'],
  port: number,
  names: readonly LocalNameFacts[],
): Check {
  const servers = names.flatMap(({ server }) => server ?? []);
  const of =
    servers[0] === undefined ? 'at which nobody listens' : `of ${describeProcess(servers[0])}`;
  const all = names.flatMap(({ holder }) => holder ?? []);
  const holders = [...new Map(all.map((holder) => [holder.pid, holder])).values()];
  const who = holders.map(describeProcess).join(', ');
  const text =
    `The names of port ${port} for shared memory, ${of}, are held by ` +
    `${who === '' ? 'a program that this user cannot see' : who}: connections to it go to TCP.`;
  const stop = holders.map(({ pid }) => pid).join(' ');
  const find = asRoot(system, `ss -xlp | grep rdma-net/2/${port}/`);
  return warning('local-names', text, [
    stop === '' ? `find who it is: ${find}` : asRoot(system, `kill ${stop}`),
    'then start the server again; or let it have another port',
  ]);
}

/** As `0.31 ms`. */
export function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return 'unknown time';
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(0)} ms`;
}

/** Problems that make it pointless to look any further. */
export function isBlocked({ program, system }: Facts): Check | undefined {
  if (system.platform !== 'linux') return notApplicable('rdma', 'not looked at');
  if (!program.rdmaWanted) return notApplicable('rdma', 'RDMA is switched off: not looked at');
  if (!program.maySeeSystem) {
    return notApplicable('rdma', 'not looked at: the permission model hides /proc and /sys');
  }
  return undefined;
}
