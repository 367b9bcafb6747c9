#include "verbs/failures.h"

#include <sys/resource.h>

#include <cerrno>

namespace rdma_net::verbs {

using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

namespace {

/// IB_CM_REJ_INVALID_SERVICE_ID, the CM's word for "nobody listens" (IBA 12.6.7.2).
constexpr int kRejectInvalidServiceId = 8;

Status StatusOfErrno(int error) {
  switch (error) {
    case ECONNREFUSED:
      return Status::kConnectionRefused;
    case ETIMEDOUT:
      return Status::kTimedOut;
    case ENODEV:
    case ENETUNREACH:
      return Status::kNoRoute;
    case EHOSTUNREACH:
      return Status::kHostUnreachable;
    case EADDRINUSE:
      return Status::kAddressInUse;
    case EADDRNOTAVAIL:
      return Status::kAddressNotAvailable;
    case EACCES:
    case EPERM:
      return Status::kPermissionDenied;
    case ENOMEM:
      return Status::kDeviceResources;
    case ECONNRESET:
      return Status::kConnectionReset;
    case EINVAL:
      return Status::kInvalidArgument;
    default:
      return Status::kLocalError;
  }
}

}  // namespace

Failure FailureOfErrno(int error) {
  return {.status = StatusOfErrno(error), .kind = DetailKind::kErrno, .detail = error};
}

Failure FailureOfRegistration(int error) {
  Failure failure = {
      .status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = error};
  // ENOMEM is said both for want of memory and for RLIMIT_MEMLOCK (ib_umem_get of the kernel); only
  // the limit tells the two apart.
  rlimit limit{};
  const bool limited = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  if ((error == ENOMEM || error == EPERM) && limited) failure.status = Status::kMemoryLockLimit;
  return failure;
}

Failure FailureOfCmEvent(rdma_cm_event_type type, int status) {
  Failure failure = {
      .status = Status::kHostUnreachable, .kind = DetailKind::kCmStatus, .detail = status};
  if (type == RDMA_CM_EVENT_DEVICE_REMOVAL) {
    failure.status = Status::kDeviceRemoved;
  } else if (status < 0) {
    failure.status = StatusOfErrno(-status);
  } else if (type == RDMA_CM_EVENT_REJECTED) {
    failure.status = status == kRejectInvalidServiceId ? Status::kConnectionRefused
                                                       : Status::kConnectionRejected;
  }
  return failure;
}

Failure FailureOfCompletion(ibv_wc_status status) {
  Failure failure = {.status = Status::kLocalError,
                     .kind = DetailKind::kCompletionStatus,
                     .detail = static_cast<int32_t>(status)};
  switch (status) {
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RNR_RETRY_EXC_ERR:
      failure.status = Status::kRetriesExceeded;
      break;
    case IBV_WC_REM_ACCESS_ERR:
      failure.status = Status::kRemoteAccess;
      break;
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_REM_OP_ERR:
    case IBV_WC_REM_ABORT_ERR:
    case IBV_WC_WR_FLUSH_ERR:
      failure.status = Status::kConnectionReset;
      break;
    default:
      break;
  }
  return failure;
}

}  // namespace rdma_net::verbs
