'use strict';

// A client of a service that knows TCP only: Redis, with ioredis. Under rdma-net it is reached over
// TCP as before, by Node's own socket, and the socket tells why.
//
//   redis-server &                        # or any Redis; Debian: apt-get install redis-server
//   npx rdma-net run redis.js 127.0.0.1 6379
//   RDMA_NET=require npx rdma-net run redis.js 127.0.0.1 6379     # an error instead of TCP

const { Redis } = require('ioredis');
const { info } = require('rdma-net');

const [host = '127.0.0.1', port = '6379'] = process.argv.slice(2);

async function main() {
  // ioredis would try for ever; an example had better fail.
  const redis = new Redis({ host, port: Number(port), lazyConnect: true, retryStrategy: null });
  redis.on('error', (error) => console.error(error.message, error.cause?.message ?? ''));
  await redis.connect();
  await redis.set('greeting', 'Hello, Redis!');
  console.log(await redis.get('greeting'));

  // `stream` is the net.Socket of ioredis. The codes of reasons are a closed list.
  const { transport, reason } = info(redis.stream);
  console.log(`transport: ${transport}`);
  if (reason !== undefined) console.log(`because:   ${reason.code}: ${reason.text}`);
  if (reason?.fix) console.log(`to do:     ${reason.fix}`);
  await redis.quit();
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
