import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * The folder with Node's headers: where node-gyp was told to take them from, beside the running
 * Node, or where node-gyp downloads them to.
 */
export function nodeHeaders(): string | undefined {
  const { npm_config_nodedir: told, npm_config_devdir: downloads } = process.env;
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const prefixes = [
    ...(told ? [told] : []),
    join(dirname(process.execPath), '..'),
    join(downloads ?? join(cache, 'node-gyp'), process.versions.node),
  ];
  return prefixes
    .map((prefix) => join(prefix, 'include', 'node'))
    .find((folder) => existsSync(join(folder, 'node_api.h')));
}
