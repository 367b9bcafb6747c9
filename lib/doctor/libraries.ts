/** librdmacm and libibverbs: where the loader finds them, which version, and whether they load. */

import { constants } from 'node:os';
import path from 'node:path';
import type { LibraryFacts } from './facts';
import type { Files } from '../machine/files';

/** Functions that came late, or that stand for all of a library: what old ones lack is among them. */
const NEEDED = {
  'librdmacm.so.1': ['rdma_create_event_channel', 'rdma_init_qp_attr', 'rdma_establish'],
  'libibverbs.so.1': ['ibv_fork_init', 'ibv_create_srq', 'ibv_query_device'],
} as const;

const STANDARD_FOLDERS = ['/lib64', '/usr/lib64', '/lib', '/usr/lib'];

/** Tries to load a library; returns the loader's words if that fails. */
export type Load = (file: string) => string | undefined;

/**
 * Both libraries.
 * @param searchPath what LD_LIBRARY_PATH says
 */
export function findLibraries(files: Files, searchPath: string, load: Load): LibraryFacts[] {
  return Object.entries(NEEDED).map(([name, needed]) => {
    const file = findLibrary(files, searchPath, name);
    const content = file === undefined ? '' : (files.bytes(file) ?? '');
    const error = load(name);
    const real = file === undefined ? undefined : files.real(file);
    return {
      name,
      file,
      version: /\.so\.1\.(\d.*)$/.exec(real ?? '')?.[0].slice('.so.'.length),
      error,
      lacking: error === undefined ? needed.filter((each) => !content.includes(`\0${each}\0`)) : [],
    };
  });
}

/** As ld.so looks for it: LD_LIBRARY_PATH, its cache, then the usual folders. */
function findLibrary(files: Files, searchPath: string, name: string): string | undefined {
  const given = searchPath.split(/[:;]/).filter((folder) => folder !== '');
  const cache = files.bytes('/etc/ld.so.cache') ?? '';
  const cached = cache.split('\0').filter((text) => text.endsWith(`/${name}`));
  const triplets = files.list('/usr/lib').filter((folder) => folder.endsWith('-linux-gnu'));
  const usual = [...triplets.map((folder) => `/usr/lib/${folder}`), ...STANDARD_FOLDERS];
  const places = [
    ...given.map((folder) => path.join(folder, name)),
    ...cached,
    ...usual.map((folder) => path.join(folder, name)),
  ];
  return places.find((file) => files.has(file));
}

/**
 * Loads a library into this process, which has it for good: as rdma-net will, and what it needs with
 * it. Node takes it for an addon, and says of one that loads only that it is none.
 */
export function loadLibrary(name: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, name, constants.dlopen.RTLD_LAZY);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return /did not self-register/.test(message) ? undefined : message;
  }
  return undefined;
}
