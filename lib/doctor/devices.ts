/** RDMA devices and their ports, as sysfs shows them. */

import type { Files } from '../machine/files';
import { DEVICES, readGids } from '../machine/gids';
import type { DeviceFacts, PortFacts } from './facts';

const VERBS = '/sys/class/infiniband_verbs';

/** Plug-ins of libibverbs by driver of the kernel, where the names differ. */
const PROVIDERS: Readonly<Record<string, string>> = {
  mlx5_core: 'mlx5',
  mlx4_core: 'mlx4',
  bnxt_en: 'bnxt_re',
  ice: 'irdma',
  i40e: 'irdma',
  iw_cxgb4: 'cxgb4',
  hns3: 'hns',
  hns_roce_hw_v2: 'hns',
  qede: 'qedr',
  hfi1: 'hfi1verbs',
  ib_qib: 'ipathverbs',
  ib_mthca: 'mthca',
  be2net: 'ocrdma',
};

/** All devices of this network namespace. */
export function findDevices(files: Files, libraryFolder: string | undefined): DeviceFacts[] {
  const drivers = listedDrivers(files);
  return files.list(DEVICES).map((name) => {
    const folder = `${DEVICES}/${name}`;
    const nodeType = afterColon(files.text(`${folder}/node_type`));
    const software = files.has(`${folder}/parent`) && !files.has(`${folder}/device/driver`);
    const softwareDriver = nodeType === 'RNIC' ? 'siw' : 'rxe';
    const driver = software
      ? softwareDriver
      : (files.linkName(`${folder}/device/driver`) ?? 'unknown');
    const provider = PROVIDERS[driver] ?? driver;
    return {
      name,
      nodeType,
      driver,
      software,
      firmware: nonEmpty(files.text(`${folder}/fw_ver`)),
      model: nonEmpty(files.text(`${folder}/hca_type`) ?? files.text(`${folder}/board_id`)),
      uverbs: verbsOf(files, name),
      ports: files
        .list(`${folder}/ports`)
        .map((port) => describePort(files, name, Number(port), software)),
      provider: {
        name: provider,
        file: libraryFolder === undefined ? undefined : pluginFile(files, libraryFolder, provider),
        listed: drivers === undefined || drivers.has(provider),
      },
    };
  });
}

/** Devices that the kernel has, and that this network namespace does not see. */
export function findDevicesElsewhere(files: Files): string[] {
  const here = new Set(files.list(DEVICES));
  return files
    .list(VERBS)
    .map((verbs) => files.text(`${VERBS}/${verbs}/ibdev`))
    .filter((name): name is string => name !== undefined && !here.has(name));
}

function verbsOf(files: Files, device: string): string | undefined {
  return files.list(VERBS).find((verbs) => files.text(`${VERBS}/${verbs}/ibdev`) === device);
}

function describePort(files: Files, name: string, number: number, software: boolean): PortFacts {
  const device = `${DEVICES}/${name}`;
  const folder = `${device}/ports/${number}`;
  const gids = readGids(files, name, number);
  const netdevs = new Set(gids.flatMap(({ netdev }) => (netdev === undefined ? [] : [netdev])));
  const parent = software ? files.text(`${device}/parent`) : undefined;
  if (parent !== undefined) netdevs.add(parent);
  for (const netdev of files.list(`${device}/device/net`)) {
    const own = files.number(`${device}/device/net/${netdev}/dev_port`) ?? 0;
    if (own + 1 === number) netdevs.add(netdev);
  }
  return {
    number,
    state: afterColon(files.text(`${folder}/state`)),
    physicalState: afterColon(files.text(`${folder}/phys_state`)),
    linkLayer: files.text(`${folder}/link_layer`) ?? 'unknown',
    rate: files.text(`${folder}/rate`) ?? '',
    gids,
    netdevs: [...netdevs],
  };
}

/** What the files of /etc/libibverbs.d name; undefined where libibverbs has them elsewhere. */
function listedDrivers(files: Files): Set<string> | undefined {
  const folder = '/etc/libibverbs.d';
  if (!files.has(folder)) return undefined;
  const lines = files.list(folder).map((name) => files.text(`${folder}/${name}`) ?? '');
  return new Set(lines.flatMap((text) => [...text.matchAll(/^driver\s+(\S+)/gm)].map(first)));
}

function pluginFile(files: Files, libraryFolder: string, provider: string): string | undefined {
  const folder = `${libraryFolder}/libibverbs`;
  const pattern = new RegExp(`^lib${provider}-rdmav\\d+\\.so$`);
  const name = files.list(folder).find((each) => pattern.test(each));
  return name === undefined || !files.has(`${folder}/${name}`) ? undefined : `${folder}/${name}`;
}

function first(match: RegExpMatchArray): string {
  return match[1] ?? '';
}

/** Of `4: ACTIVE` the word. */
function afterColon(text: string | undefined): string {
  return text?.replace(/^\d+:\s*/, '') ?? 'unknown';
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
