'use strict';

// Says where the headers of rdma-core (infiniband/verbs.h, rdma/rdma_cma.h) are: 'system', a folder,
// or 'none'; asked by binding.gyp. RDMA_NET_INCLUDE names a folder that is to be preferred.

const { existsSync } = require('node:fs');
const { join } = require('node:path');

const headers = ['infiniband/verbs.h', 'rdma/rdma_cma.h'];
const complete = (folder) => headers.every((header) => existsSync(join(folder, header)));

function find() {
  const named = process.env.RDMA_NET_INCLUDE;
  if (named) {
    if (complete(named)) return named;
    throw new Error(`RDMA_NET_INCLUDE is ${named}, which does not have ${headers.join(' and ')}`);
  }
  if (complete('/usr/include')) return 'system';
  return complete('/usr/local/include') ? '/usr/local/include' : 'none';
}

process.stdout.write(find());
