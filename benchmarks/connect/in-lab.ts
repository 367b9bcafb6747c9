/**
 * Runs in the lab: connections to a host that refuses RDMA, and to one that drops what comes for it.
 * Arguments: the address of the device, rounds. Prints a {@link ConnectComparison} in JSON.
 */
import { execFileSync } from 'node:child_process';
import { AGAIN, PLAIN, compareConnects, startServer, type ConnectComparison } from './compare';

const [address = '', rounds = '1'] = process.argv.slice(2);
const QUIET_ADDRESS = '10.77.0.97';
const NAMESPACE = 'quiet';
/** What an emulated processor takes longer for. */
const SLOWNESS = 25;
const HEAD_START_MS = 50;

function makeQuietHost(): void {
  for (const command of [
    `netns add ${NAMESPACE}`,
    `link set veth1 netns ${NAMESPACE}`,
    `-n ${NAMESPACE} link set veth1 mtu 4200 up`,
    `-n ${NAMESPACE} address add ${QUIET_ADDRESS}/24 dev veth1`,
  ]) {
    execFileSync('ip', command.split(' '));
  }
}

async function main(): Promise<void> {
  makeQuietHost();
  const refusing = await startServer(address);
  const quiet = await startServer(QUIET_ADDRESS, ['ip', 'netns', 'exec', NAMESPACE]);
  const env = {
    RDMA_NET_HEAD_START_MS: String(HEAD_START_MS * SLOWNESS),
    RDMA_NET_PEER_MEMORY_MS: '600000',
  };
  const toRefusing = { address, port: refusing.port };
  const toQuiet = { address: QUIET_ADDRESS, port: quiet.port };
  const results = await compareConnects(
    [
      { name: PLAIN, ...toRefusing, preload: false },
      { name: AGAIN, ...toRefusing, preload: false },
      { name: 'RDMA refused', ...toRefusing, preload: true, env },
      { name: 'RDMA silent', ...toQuiet, preload: true, env },
    ],
    Number(rounds),
    20,
  );
  for (const { server } of [refusing, quiet]) server.kill();
  const comparison = { node: process.version, slowness: SLOWNESS, rounds: results };
  console.log(JSON.stringify(comparison satisfies ConnectComparison));
}

void main();
