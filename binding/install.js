'use strict';

// Builds the native addon, or takes the prebuilt one. It never fails an installation: without the
// addon the package is plain net, and says so when asked.
//
//   npm runs it as the package's install script: node-gyp-build uses a prebuilt binary, or builds.
//   `--checkout`, from `npm run build:native`: always builds, from the sources of this checkout.

const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');

function build() {
  if (process.argv.includes('--checkout')) {
    // The lab knows how to get the headers of rdma-core; without them there is no verbs fabric.
    const lab = join(root, 'dist', 'test', 'lab', 'cli.js');
    const headers = spawnSync(process.execPath, [lab, 'headers'], { stdio: 'inherit' });
    if (headers.status !== 0) console.warn('rdma-net: built without RDMA, as plain net');
    // npm puts its node-gyp on the PATH of scripts.
    return spawnSync('node-gyp', ['configure', 'build', '--jobs=max', '--loglevel=warn'], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, GYP_DEFINES: 'werror=1' },
    });
  }
  const nodeGypBuild = require.resolve('node-gyp-build/bin.js');
  return spawnSync(process.execPath, [nodeGypBuild], { cwd: root, stdio: 'inherit' });
}

function main() {
  if (process.platform !== 'linux') {
    console.log('rdma-net: RDMA is for Linux; on this system the package is plain net');
    return;
  }
  // In a checkout `npm install` goes on with `prepare`, which builds.
  const checkout = existsSync(join(root, 'lib', 'index.ts'));
  if (checkout && process.env.npm_lifecycle_event === 'install') return;

  const result = build();
  if (result.status === 0) return;
  const reason = result.error?.message ?? `exit status ${result.status}`;
  console.warn(`rdma-net: the native addon could not be built (${reason});`);
  console.warn(
    'rdma-net: the package works as plain net. It needs a C++20 compiler, make and python3.',
  );
}

main();
