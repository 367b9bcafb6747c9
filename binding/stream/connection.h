#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "fabric/fabric.h"
#include "stream/receive_window.h"
#include "stream/send_ring.h"
#include "stream/send_window.h"
#include "stream/state.h"
#include "stream/wire.h"

namespace rdma_net::stream {

struct Options {
  /// Receive memory of a connection, two buffers of half of it.
  size_t receive_bytes = 128 * 1024;
  /// Send memory of a connection that has something to send.
  size_t send_bytes = 256 * 1024;
};

/// Bytes are of the stream, without protocol; see Counters in lib/native.ts.
struct Counters {
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received_copied = 0;
  uint64_t bytes_sent_copied = 0;
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  uint64_t work_requests = 0;
  uint64_t credit_stalls = 0;

  void Add(const Counters& other);
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
};

class Connection;

/// Told when a connection has news, once until they are taken. It may be called from inside calls
/// of Connection: take the news later, from the loop.
class ConnectionObserver {
 public:
  virtual void OnNews(Connection* connection) = 0;

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

  [[nodiscard]] uint64_t readable_bytes() const;
  size_t Read(std::span<std::byte> target);
  /// Takes bytes to send; kNewsWritable follows a short count. `more` holds the last bytes back for
  /// the next call. Fails with kBrokenPipe after Shutdown, or when the peer has long closed.
  fabric::Status Write(std::span<const std::byte> source, bool more, size_t* taken);
  fabric::Status Shutdown();
  void Close();
  void Reset();

  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] uint32_t TakeNews();
  [[nodiscard]] const fabric::Failure& failure() const { return failure_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] bool peer_has_extension() const { return peer_.has_extension; }
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
  fabric::Failure Prepare();
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
  void OnPeerGone();

  /// Posts what is due: buffers and credits, data, the end. Called after every change.
  void Pump();
  bool PostUpdates();
  bool PostData();
  bool PostEnd();
  void FinishClosing();
  bool Post(const fabric::WriteRequest& request);
  [[nodiscard]] bool control_available() const;
  void NoteStall();

  // Destroyed last to first: the windows and the ring are views of the endpoint's memory.
  std::unique_ptr<fabric::Endpoint> endpoint_;
  /// What the peer writes to (SendWindow::kSlotsBytes), then our outgoing buffer entries.
  fabric::Region slots_;
  fabric::Region receive_memory_;
  std::optional<ReceiveWindow> receive_;
  std::optional<SendWindow> send_;
  SendRing ring_;

  uint32_t id_;
  Options options_;
  ConnectionObserver* observer_;
  State state_ = State::kRouting;
  Shut shut_ = Shut::kOpen;
  Peer peer_end_ = Peer::kSending;
  bool corked_ = false;
  bool writer_waits_ = false;
  bool stalled_ = false;
  bool lost_write_ = false;
  bool silent_ = false;
  bool goodbye_ = false;
  uint32_t entries_posted_ = 0;
  uint32_t data_in_flight_ = 0;
  uint32_t control_in_flight_ = 0;
  uint32_t news_ = 0;
  fabric::Failure failure_;
  Counters counters_;
  wire::ConnectData peer_;
};

}  // namespace rdma_net::stream
