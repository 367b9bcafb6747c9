/** What programs have in their environment so that their sockets run on one transport alone. */
export const overTcp = { RDMA_NET: 'off' };
export const overLocal = { RDMA_NET: 'require', RDMA_NET_TRANSPORTS: 'local' };
/** Where both programs are on one host, they would meet over shared memory. */
export const overRdma = { RDMA_NET: 'require', RDMA_NET_TRANSPORTS: 'rdma' };
