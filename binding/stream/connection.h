#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "fabric/fabric.h"
#include "stream/control_allowance.h"
#include "stream/counters.h"
#include "stream/outbox.h"
#include "stream/receiver.h"
#include "stream/sender.h"
#include "stream/state.h"
#include "stream/wire.h"

namespace rdma_net::stream {

struct Options {
  ReceiveOptions receive;
  SendOptions send;
};

/// What a connection has to say; a set of these, taken with TakeNews.
enum News : uint32_t {
  kNewsResponse = 1U << 0,
  kNewsConnectFailed = 1U << 1,
  kNewsAccepted = 1U << 2,
  kNewsReadable = 1U << 3,
  kNewsEnd = 1U << 4,
  kNewsWritable = 1U << 5,
  kNewsShutdownDone = 1U << 6,
  kNewsFailed = 1U << 7,
  kNewsClosed = 1U << 8,
  kNewsSent = 1U << 9,
};

class Connection;

/// As long as the probes of TCP go on in Node: 10, one a second. A device repeats by itself.
inline constexpr uint64_t kKeepaliveAnswerMsMax = 10'000;

/// Whoever owns connections.
class ConnectionObserver {
 public:
  /// A connection has news; said once until they are taken. It may be called from inside calls of
  /// Connection: take the news later, from the loop.
  virtual void OnNews(Connection* connection) = 0;
  /// Milliseconds of a clock that never goes back.
  [[nodiscard]] virtual uint64_t now_ms() const = 0;

 protected:
  ~ConnectionObserver() = default;
};

/// A byte stream over one endpoint: rsockets v1 with its connection data, flow control, shutdown
/// and disconnect (rdma-core librdmacm/rsocket.c). Knows no Node, no libuv, no verbs.
class Connection final : public fabric::EndpointEvents {
 public:
  Connection(uint32_t id, const Options& options, ConnectionObserver* observer);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;
  ~Connection() = default;

  /// Active side: takes over an endpoint that is looking for its route.
  void Start(std::unique_ptr<fabric::Endpoint> endpoint);
  /// Passive side: answers a request. A failure means that it was rejected; the connection is then
  /// releasing, and reports nothing but kNewsClosed.
  fabric::Failure Accept(std::unique_ptr<fabric::Endpoint> endpoint,
                         std::span<const std::byte> request_data);
  /// Active side, after kNewsResponse.
  fabric::Failure Establish();

  /// What Read or ReadInPlace can take now.
  [[nodiscard]] uint64_t readable_bytes() const { return receiver_.readable_bytes(); }
  /// Copies out; returns bytes. Fewer than there is room for may have been all, or ReadInPlace has
  /// the next ones.
  size_t Read(std::span<std::byte> target);
  /// The next bytes where they lie; nothing when they must be copied.
  std::optional<View> ReadInPlace();
  /// Whether ReadInPlace is going to be asked; true at first.
  void SetReadInPlace(bool wanted) { receiver_.SetInPlace(wanted); }
  /// Takes bytes to send; kNewsWritable follows a short count. `more` holds the last bytes back for
  /// the next call. Fails with kBrokenPipe after Shutdown, or when the peer has long closed.
  fabric::Status Write(std::span<const std::byte> source, bool more, size_t* taken);
  /// Sends from where the bytes are, which nobody may change until kNewsSent has counted this call
  /// (TakeSentCount), and what is written there later may still reach a peer that has closed, which
  /// throws it away. Takes all (at least 1), or nothing: kNewsWritable follows.
  fabric::Status WriteInPlace(std::span<const std::byte> source, Source memory, size_t* taken);
  /// Whether Write would take so many bytes.
  [[nodiscard]] bool can_copy(size_t bytes) const { return sender_.can_copy(bytes); }
  /// The same for bytes that must be copied, as there is room: `owner` keeps them until then.
  fabric::Status WriteHeld(std::span<const std::byte> source, std::shared_ptr<void> owner,
                           size_t* taken);
  /// Whether bytes that WriteInPlace or WriteHeld took are still read where the program has them.
  [[nodiscard]] bool borrows() const { return sender_.borrows(); }
  /// Sends what was held back for more.
  void Flush();
  /// Writes in place that ended since the last call.
  uint32_t TakeSentCount();
  /// How many of these, the last ones, have lost bytes because the peer has closed.
  uint32_t TakeLostCount();
  /// Whether all that was taken has been sent already, which kNewsSent then need not tell.
  bool TakeSentAtOnce();
  /// Asks the peer's device for a sign of life, if nothing is under way that it must answer anyway.
  /// Nothing where there is no device between the two: the end of the peer is seen there.
  void SendKeepalive();
  /// Gives the peer up when a keepalive has been without an answer for kKeepaliveAnswerMsMax.
  void CheckKeepalive();
  fabric::Status Shutdown();
  void Close();
  void Reset();

  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] uint32_t TakeNews();
  [[nodiscard]] const fabric::Failure& failure() const { return failure_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] bool peer_has_extension() const { return peer_.has_extension; }
  [[nodiscard]] bool peer_ends_buffers() const {
    return (peer_.features & wire::kFeatureBufferEnd) != 0;
  }
  /// Whether nobody outside has heard of the connection, or was told that it could not be made.
  [[nodiscard]] bool silent() const { return silent_; }
  /// Null once released.
  [[nodiscard]] const fabric::Endpoint* endpoint() const { return endpoint_.get(); }

  void OnRouted() override;
  void OnResponse(std::span<const std::byte> data) override;
  void OnEstablished() override;
  void OnConnectFailed(fabric::Failure failure) override;
  void OnMessage(uint32_t immediate, uint32_t bytes) override;
  void OnStray() override;
  void OnSent(uint64_t token) override;
  void OnRoom() override;
  void OnBroken(fabric::Failure failure) override;
  void OnDisconnected() override;
  void OnReleased() override;

 private:
  /// How far the end of the sending direction has come.
  enum class Shut : uint8_t { kOpen, kWanted, kPosted, kDone };
  /// What the peer said of its end: more to come, no more data, or gone.
  enum class Peer : uint8_t { kSending, kShutdown, kDisconnected };

  /// Moves on; an event that may not happen is an engine error, and does nothing in production.
  bool Step(Event event);
  void Tell(uint32_t news);
  fabric::Failure SavePeer(std::span<const std::byte> data);
  size_t EncodeLocalData(
      std::span<std::byte, wire::kConnectDataBytes + wire::kExtensionBytes> out) const;
  /// Both sides are known and the endpoint is established: the flow control begins.
  void OpenWindows();
  void FailHandshake(fabric::Failure failure);
  void Break(fabric::Failure failure);
  void Violate(wire::Violation violation);
  void BeginRelease(Event event);

  void OnControl(uint32_t value);
  void TellEnd();
  void OnRevoked();
  void OnPeerGone();

  /// Says whether a write may go on; a write that is lost without a word counts as taken.
  fabric::Status CheckWritable(size_t bytes, size_t* taken);
  /// A write whose end is told: `take` hands it to the sender.
  template <typename Take>
  fabric::Status WriteKept(size_t bytes, size_t* taken, const Take& take);

  /// Posts what is due: buffers and credits, data, the end. Called after every change.
  void Pump();
  void TellProgress();
  [[nodiscard]] bool AwaitsSent() const;
  bool PostEnd();
  void OnEndSent();
  void FinishClosing();

  Counters counters_;
  Outbox outbox_{&counters_};
  Receiver receiver_;
  Sender sender_;
  ControlAllowance allowance_;
  // Destroyed first: the memory of both directions is the endpoint's, and they do not touch it when
  // they go.
  std::unique_ptr<fabric::Endpoint> endpoint_;

  uint32_t id_;
  ConnectionObserver* observer_;
  State state_ = State::kRouting;
  Shut shut_ = Shut::kOpen;
  Peer peer_end_ = Peer::kSending;
  bool end_told_ = false;
  bool lost_write_ = false;
  bool silent_ = false;
  bool goodbye_ = false;
  uint32_t news_ = 0;
  /// When the keepalive was sent that has not been answered.
  std::optional<uint64_t> keepalive_sent_ms_;
  /// Writes in place that went to nobody.
  uint32_t lost_in_place_ = 0;
  /// Writes in place that have ended without all of their bytes.
  uint32_t lost_count_ = 0;
  fabric::Failure failure_;
  wire::ConnectData peer_;
};

}  // namespace rdma_net::stream
