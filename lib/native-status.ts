/**
 * What the native side returns, grouped by what dies: nothing but the operation (1..99), the
 * connection (100..199), the device or all of RDMA in this environment (200..299). The numbers are
 * those of `enum class Status` in `binding/fabric/status.h`; a test compares the two.
 */
export const Status = {
  Ok: 0,

  InvalidArgument: 1,
  /** The id is not that of an open connection or listener. */
  NotConnected: 2,
  OutOfMemory: 3,

  /** Nobody listens at that address and port. */
  ConnectionRefused: 100,
  /** The peer's program or CM rejected the request for another reason. */
  ConnectionRejected: 101,
  /** No RDMA device here routes to the address. */
  NoRoute: 102,
  /** The address is routed, but the peer could not be reached. */
  HostUnreachable: 103,
  TimedOut: 104,
  /** The peer broke the connection off. */
  ConnectionReset: 105,
  /** The peer has closed; what is sent now gets lost. */
  BrokenPipe: 106,
  /** The peer sent something that the protocol does not allow. */
  ProtocolViolation: 107,
  /** The peer speaks RDMA, but not rsockets version 1. */
  IncompatiblePeer: 108,
  /** Work requests went unanswered until the retries were used up. */
  RetriesExceeded: 109,
  /** The peer refused access to its memory. */
  RemoteAccess: 110,
  /** A local queue-pair or memory error broke this connection. */
  LocalError: 111,
  AddressInUse: 112,
  AddressNotAvailable: 113,
  Canceled: 114,
  /** The peer has no memory, or no room, for another connection. */
  PeerLimit: 115,

  /** librdmacm.so.1 or libibverbs.so.1 cannot be loaded. */
  LibraryMissing: 200,
  /** A library lacks a function that is needed. */
  LibraryTooOld: 201,
  /** No RDMA device, or rdma_cm is not there. */
  NoDevice: 202,
  /** RLIMIT_MEMLOCK does not allow to register the memory. */
  MemoryLockLimit: 203,
  PermissionDenied: 204,
  DeviceRemoved: 205,
  /** The device, or its limits, could not give what a connection needs. */
  DeviceResources: 206,
  /** The device lacks something essential (RC queue pairs, shared receive queues). */
  DeviceUnsuitable: 207,
  /** The addon was built without the verbs fabric. */
  NotBuilt: 208,
  /** Registering more memory would exceed the limit that was set for this environment. */
  PinnedLimit: 209,
  /** One more connection would exceed the limit that was set for this environment. */
  QueuePairLimit: 210,
} as const;
export type Status = (typeof Status)[keyof typeof Status];
