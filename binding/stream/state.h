#pragma once

#include <cstdint>

namespace rdma_net::stream {

/// The life of a connection.
///
///     active side                                passive side
///     kRouting --routed--> kConnecting           kAccepting
///                              | response             |
///                              v                      | established, or a first message
///                          kAnswered                  |
///                              | establish            |
///                              +--------> kOpen <-----+
///                                       |     |
///                                 close |     | broken
///                                       v     v
///                                 kClosing   kBroken
///                         drained, broken |   | close
///                                         v   v
///     a failed handshake, or reset ----> kReleasing --released--> kReleased
///     from anywhere above
///
/// kClosing still sends what was taken from the program; kReleasing waits for the fabric.
enum class State : uint8_t {
  kRouting,
  kConnecting,
  kAnswered,
  kAccepting,
  kOpen,
  kClosing,
  kBroken,
  kReleasing,
  kReleased,
  kIllegal,
};

enum class Event : uint8_t {
  kRouted,
  kResponse,
  kEstablish,
  kEstablished,
  kHandshakeFailed,
  kClose,
  kDrained,
  kBroken,
  kReset,
  kReleased,
};

/// The next state, or State::kIllegal when `event` may not happen in `state`.
constexpr State Next(State state, Event event) {
  const bool handshake = state <= State::kAccepting;
  switch (event) {
    case Event::kRouted:
      return state == State::kRouting ? State::kConnecting : State::kIllegal;
    case Event::kResponse:
      return state == State::kConnecting ? State::kAnswered : State::kIllegal;
    case Event::kEstablish:
      return state == State::kAnswered ? State::kOpen : State::kIllegal;
    case Event::kEstablished:
      return state == State::kAccepting ? State::kOpen : State::kIllegal;
    case Event::kHandshakeFailed:
      return handshake ? State::kReleasing : State::kIllegal;
    case Event::kClose:
      if (state == State::kOpen) return State::kClosing;
      return handshake || state == State::kBroken ? State::kReleasing : State::kIllegal;
    case Event::kDrained:
      return state == State::kClosing ? State::kReleasing : State::kIllegal;
    case Event::kBroken:
      if (state == State::kOpen) return State::kBroken;
      return state == State::kClosing ? State::kReleasing : State::kIllegal;
    case Event::kReset:
      return state < State::kReleasing ? State::kReleasing : State::kIllegal;
    case Event::kReleased:
      return state == State::kReleasing ? State::kReleased : State::kIllegal;
  }
  return State::kIllegal;
}

}  // namespace rdma_net::stream
