import path from 'node:path';
import t from 'tap';
import { root } from '../rdma/program';
import { newestGlibc, problemsOf, requirementsOf, type Requirements } from './requirements';
import { nameOf, targets, type Target } from './targets';

function targetOf(name: string): Target {
  const target = targets.find((one) => nameOf(one) === name);
  if (target === undefined) throw new Error(`there is no target ${name}`);
  return target;
}

const glibc = targetOf('linux-x64-glibc');
const musl = targetOf('linux-arm64-musl');

const good: Requirements = {
  machine: 'Advanced Micro Devices X86-64',
  libraries: ['libm.so.6', 'libc.so.6'],
  versions: ['GLIBC_2.2.5', 'GLIBC_2.28'],
  exported: ['napi_register_module_v1', 'node_api_module_get_api_version_v1'],
  imported: ['napi_create_object'],
};
const goodOnMusl = { ...good, machine: 'AArch64', libraries: ['libc.so'], versions: [] };

void t.test('a binary that asks for what every system has may be published', (t) => {
  t.strictSame(problemsOf(good, glibc), []);
  t.strictSame(problemsOf(goodOnMusl, musl), []);
  t.equal(newestGlibc(good), '2.28');
  t.equal(newestGlibc(goodOnMusl), undefined);
  t.end();
});

void t.test('a binary that asks for more may not', (t) => {
  for (const [requirements, target, problem] of [
    [{ ...good, machine: 'AArch64' }, glibc, 'linux-x64-glibc is for another processor: AArch64'],
    [{ ...good, versions: ['GLIBC_2.34'] }, glibc, 'linux-x64-glibc needs GLIBC_2.34'],
    [{ ...good, versions: ['GLIBC_PRIVATE'] }, glibc, 'linux-x64-glibc needs GLIBC_PRIVATE'],
    [{ ...good, versions: ['CXXABI_1.3'] }, glibc, 'linux-x64-glibc needs CXXABI_1.3'],
    [{ ...good, libraries: ['libstdc++.so.6'] }, glibc, 'linux-x64-glibc needs libstdc++.so.6'],
    [{ ...good, exported: [] }, glibc, 'linux-x64-glibc lacks napi_register_module_v1'],
    [{ ...goodOnMusl, libraries: ['libc.so.6'] }, musl, 'linux-arm64-musl needs libc.so.6'],
    [{ ...goodOnMusl, versions: ['GLIBC_2.17'] }, musl, 'linux-arm64-musl needs GLIBC_2.17'],
  ] as const) {
    t.equal(problemsOf(requirements, target)[0], problem);
  }
  const tooMany = { ...good, exported: [...good.exported, '_Znwm'] };
  t.strictSame(problemsOf(tooMany, glibc), ['linux-x64-glibc exports _Znwm']);
  t.end();
});

void t.test('the addon shows to others what Node looks up, and nothing else', async (t) => {
  const addon = path.join(root, 'build', 'Release', 'rdma_net.node');
  const { exported, imported } = await requirementsOf(addon);
  t.strictSame(exported, good.exported);
  t.ok(imported.includes('napi_create_object'), 'functions of Node are seen');
});
