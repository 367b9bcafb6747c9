#pragma once

#include "fabric/status.h"
#include "verbs/library.h"

namespace rdma_net::verbs {

/// What a call that failed with `error` (an errno) means for a connection or a listener.
fabric::Failure FailureOfErrno(int error);

/// What it means that memory could not be registered: kMemoryLockLimit where that can be to blame.
fabric::Failure FailureOfRegistration(int error);

/// What a failed handshake event means; `status` is rdma_cm_event.status: a negative errno, or for
/// RDMA_CM_EVENT_REJECTED the reason of the IB CM (enum ib_cm_rej_reason).
fabric::Failure FailureOfCmEvent(rdma_cm_event_type type, int status);

/// What a failed completion means for its connection.
fabric::Failure FailureOfCompletion(ibv_wc_status status);

}  // namespace rdma_net::verbs
