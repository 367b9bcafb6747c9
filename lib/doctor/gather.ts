/** Finds out everything that the doctor looks at; changes nothing, and never needs root. */

import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { bindingFailure, theBinding } from '../binding';
import { tcpClass } from '../internals';
import { settings, type FabricTransportName } from '../mode';
import { describeRule } from '../plan';
import { reasonFor, type Reason } from '../reasons';
import { localTransport, rdmaTransport } from '../transport';
import { findDevices, findDevicesElsewhere } from './devices';
import type { AddressFacts, DeviceFacts, Facts, ProgramFacts, TrialFacts } from './facts';
import { Files } from '../machine/files';
import { findFilters } from './filters';
import { unknownVariables } from './variables';
import {
  findAdapters,
  findDeviceFiles,
  findMemoryLock,
  findModules,
  findSystem,
  hasExclusiveNamespaces,
  hasSoftwareRdma,
} from './host';
import { findLibraries, loadLibrary } from './libraries';
import { findTakenNames } from './local-names';
import { findAddresses, findDefaultNetdev, findNetdevs } from './networks';
import { tryConnecting, tryOpening } from './trial';

/** What `pinnedBytesMax` is where it is not set: see verbs/verbs_fabric.h. */
const PINNED_BYTES_MAX = 256 << 20;
const TRIALS_MAX = 16;

interface Permission {
  has(scope: string, reference?: string): boolean;
}

/** Whether a transport may be used, if only by a rule. */
function isWanted(name: FabricTransportName): boolean {
  if (settings.mode === 'off') return false;
  const { transports, rules } = settings;
  return [{ transports }, ...rules].some((one) => one.transports.includes(name));
}

async function whyNoInternals(): Promise<Reason | undefined> {
  if (process.platform !== 'linux') return reasonFor('platform', process.platform);
  try {
    tcpClass();
  } catch (error) {
    return reasonFor('permission-model', error instanceof Error ? error.message : '');
  }
  // Loaded late: it needs what the permission model refuses.
  return (await import('../self-check.js')).internalsDiffer();
}

async function findProgram(files: Files): Promise<ProgramFacts> {
  const { permission } = process as { permission?: Permission };
  const binding = process.platform === 'linux' ? theBinding() : undefined;
  const mapped = files.text('/proc/self/maps') ?? '';
  return {
    nodeVersion: process.version,
    nodeApiVersion: process.versions['napi'] ?? '',
    permissionModel: permission !== undefined,
    maySeeSystem: ['/sys', '/proc'].every((file) => permission?.has('fs.read', file) ?? true),
    internals: await whyNoInternals(),
    mode: settings.mode,
    unknownVariables: unknownVariables(process.env),
    transports: settings.transports,
    localWanted: isWanted('local'),
    rdmaWanted: isWanted('rdma'),
    rules: settings.rules.map(describeRule),
    pinnedBytesMax: settings.pinnedBytesMax ?? PINNED_BYTES_MAX,
    addon: {
      loaded: binding !== undefined,
      hasVerbs: binding?.hasVerbs === true,
      file: /\S*rdma[-_]net[^\s/]*\.node$/m.exec(mapped)?.[0],
      error: bindingFailure()?.detail ?? '',
    },
  };
}

/** Whether shared memory and RDMA can be tried in this process. */
function canTry({ internals, permissionModel, addon }: ProgramFacts): boolean {
  return internals === undefined && !permissionModel && addon.loaded;
}

async function tryLocal(program: ProgramFacts): Promise<TrialFacts | undefined> {
  if (!program.localWanted || !canTry(program)) return undefined;
  const nothing = { connectMs: undefined, roundTripMs: undefined, mtu: undefined };
  const reason = localTransport.unavailable() ?? localTransport.open();
  if (reason !== undefined) return { address: '127.0.0.1', reason, ...nothing };
  return tryConnecting(localTransport, '127.0.0.1');
}

async function openRdma(program: ProgramFacts): Promise<Facts['opening']> {
  if (!program.rdmaWanted || !canTry(program)) return undefined;
  // Not opened where it cannot be used: librdmacm would have the kernel load what is missing.
  const reason = rdmaTransport.unavailable() ?? rdmaTransport.open();
  return { reason: reason ?? (await tryOpening(rdmaTransport)) };
}

function portIsActive(devices: readonly DeviceFacts[], { rdma }: AddressFacts): boolean {
  const device = devices.find(({ name }) => name === rdma?.device);
  const port = device?.ports.find(({ number }) => number === rdma?.port);
  return device?.nodeType !== 'RNIC' && port?.state === 'ACTIVE';
}

async function tryRdma(
  opening: Facts['opening'],
  devices: readonly DeviceFacts[],
  addresses: readonly AddressFacts[],
): Promise<TrialFacts[]> {
  if (opening === undefined || opening.reason !== undefined) return [];
  const usable = addresses.filter((one) => portIsActive(devices, one)).slice(0, TRIALS_MAX);
  return Promise.all(usable.map(({ address }) => tryConnecting(rdmaTransport, address)));
}

/** Looks at everything that can be read, then tries what only trying shows. */
export async function gatherFacts(files = new Files()): Promise<Facts> {
  const program = await findProgram(files);
  const system = findSystem(files, process.platform);
  const libraries = program.permissionModel
    ? []
    : findLibraries(files, process.env['LD_LIBRARY_PATH'] ?? '', loadLibrary);
  const verbsFile = libraries.find(({ name }) => name.startsWith('libibverbs'))?.file;
  const real = verbsFile === undefined ? undefined : files.real(verbsFile);
  const devices = findDevices(files, real === undefined ? undefined : path.dirname(real));
  const netdevs = findNetdevs(files);
  const addresses = findAddresses(networkInterfaces(), devices, netdevs);
  const software = addresses.find(({ rdma }) =>
    devices.some(({ name, driver }) => name === rdma?.device && driver === 'rxe'),
  );
  const hasRxe = devices.some(({ driver }) => driver === 'rxe');
  const mayAsk = hasRxe && !program.permissionModel;
  const opening = await openRdma(program);
  const [local, filter, trials] = await Promise.all([
    tryLocal(program),
    mayAsk ? findFilters(files, software?.address, system.userId === 0) : undefined,
    tryRdma(opening, devices, addresses),
  ]);
  return {
    system,
    program,
    local,
    takenNames: program.localWanted ? findTakenNames(files, system.userId) : [],
    libraries,
    modules: findModules(files),
    hasSoftwareRdma: hasSoftwareRdma(files),
    files: findDeviceFiles(files, devices),
    memoryLock: findMemoryLock(files),
    devices,
    elsewhere: findDevicesElsewhere(files),
    exclusiveNamespaces: hasExclusiveNamespaces(files),
    adapters: findAdapters(files),
    netdevs,
    addresses,
    defaultNetdev: findDefaultNetdev(files),
    filter,
    opening,
    trials,
  };
}
