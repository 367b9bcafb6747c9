/** Why a process has no endpoint that can be asked, as far as the kernel tells. */

import { Files } from '../../machine/files';

/** What its variables were when it was started; empty if they cannot be read. */
function environmentOf(files: Files, pid: number): Map<string, string> {
  const pairs = (files.bytes(`/proc/${pid}/environ`) ?? '').split('\0');
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** One sentence, or a few. */
export function whyMissing(
  pid: number,
  userId = process.geteuid?.() ?? -1,
  files = new Files(),
): string {
  const owner = files.stat(`/proc/${pid}`)?.userId;
  if (owner === undefined) return 'There is no such process.';
  if (owner !== userId && userId !== 0) {
    return `It belongs to user ${owner}; only that user and root may ask it.`;
  }
  const program = files.linkName(`/proc/${pid}/exe`);
  if (program !== undefined && !/node/i.test(program)) {
    return `It is ${program}, and not Node.`;
  }
  const environment = environmentOf(files, pid);
  for (const name of ['RDMA_NET', 'RDMA_NET_STATUS']) {
    if (environment.get(name) === 'off') return `It was started with ${name}=off.`;
  }
  const folder = environment.get('XDG_RUNTIME_DIR') ?? '';
  const elsewhere =
    folder === '' || folder === process.env['XDG_RUNTIME_DIR']
      ? ''
      : ` Or it can be asked with XDG_RUNTIME_DIR=${folder}, as it was started.`;
  return `It runs without rdma-net, or has had no connection and no server yet.${elsewhere}`;
}
