#pragma once

#include <cstdint>

namespace rdma_net::fabric {

/// What a call or an event of the network ended with, grouped by what dies: nothing but the
/// operation (1..99), the connection (100..199), the device or all of RDMA here (200..299).
/// lib/native-status.ts has the same numbers, with a sentence on each; a test compares the two.
enum class Status : int32_t {
  kOk = 0,

  kInvalidArgument = 1,
  kNotConnected = 2,
  kOutOfMemory = 3,

  kConnectionRefused = 100,
  kConnectionRejected = 101,
  kNoRoute = 102,
  kHostUnreachable = 103,
  kTimedOut = 104,
  kConnectionReset = 105,
  kBrokenPipe = 106,
  kProtocolViolation = 107,
  kIncompatiblePeer = 108,
  kRetriesExceeded = 109,
  kRemoteAccess = 110,
  kLocalError = 111,
  kAddressInUse = 112,
  kAddressNotAvailable = 113,
  kCanceled = 114,
  kPeerLimit = 115,

  kLibraryMissing = 200,
  kLibraryTooOld = 201,
  kNoDevice = 202,
  kMemoryLockLimit = 203,
  kPermissionDenied = 204,
  kDeviceRemoved = 205,
  kDeviceResources = 206,
  kDeviceUnsuitable = 207,
  kNotBuilt = 208,
  kPinnedLimit = 209,
  kQueuePairLimit = 210,
};

/// What the detail of a failure is; lib/native.ts has the same numbers.
enum class DetailKind : int32_t {
  kNone = 0,
  kErrno = 1,
  kCmStatus = 2,
  kCompletionStatus = 3,
  kViolation = 4,
};

/// A status with its cause, as the first decider saw it.
struct Failure {
  Status status = Status::kOk;
  DetailKind kind = DetailKind::kNone;
  int32_t detail = 0;

  [[nodiscard]] bool ok() const { return status == Status::kOk; }
};

}  // namespace rdma_net::fabric
