#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fabric/fabric.h"
#include "sim/sim_memory.h"
#include "stream/wire.h"

namespace fuzz {

using namespace rdma_net;

/// What the endpoint and its peer share: memory that the engine registered, and what went wrong.
struct Device {
  explicit Device(const sim::SimOptions& options)
      : scheduler(options.seed), memory(options, &scheduler, &findings) {}

  sim::Scheduler scheduler;
  sim::Findings findings;
  sim::SimMemory memory;
};

/// An endpoint without another end: the fuzzer says what the peer sends, and when what was posted
/// is complete. It knows what the peer has announced, and watches what the engine does with that.
class ScriptedEndpoint final : public fabric::Endpoint {
 public:
  explicit ScriptedEndpoint(Device* device) : device_(device) {}
  ScriptedEndpoint(const ScriptedEndpoint&) = delete;
  ScriptedEndpoint& operator=(const ScriptedEndpoint&) = delete;
  ScriptedEndpoint(ScriptedEndpoint&&) = delete;
  ScriptedEndpoint& operator=(ScriptedEndpoint&&) = delete;
  ~ScriptedEndpoint() override = default;

  // What the script uses.

  /// Nothing but OnReleased may be reported.
  [[nodiscard]] bool quiet() const { return quiet_; }
  [[nodiscard]] bool released() const { return released_; }
  [[nodiscard]] bool connected() const { return connected_; }
  void set_posts_fail(bool fail) { posts_fail_ = fail; }
  fabric::EndpointEvents* events() { return events_; }

  /// The oldest request is complete.
  void Complete();
  /// The peer claims to have written what it did not: a buffer that it is still going to write to
  /// may be full by its own word, and be taken away from it.
  void Claim() { claimed_ = true; }
  /// The peer's data, as an honest one would write it: to the buffers in order; true if there was
  /// one. `bytes` becomes what fits.
  bool WriteData(uint32_t* bytes, std::byte fill);
  /// The peer writes over any memory that it may write to: exposed, or the connection's own.
  void WriteAnywhere(uint32_t choice, std::byte fill);
  /// The peer writes its announcements: raw bytes of the slots.
  void WriteSlots(size_t offset, std::span<const std::byte> bytes);
  /// The engine may write here from now on.
  void Announce(uint64_t address, uint64_t bytes) { announced_.push_back({address, bytes}); }
  /// Ends the endpoint, which is destroyed by that.
  void FinishRelease();

  // What the engine uses.

  void Attach(fabric::EndpointEvents* events) override { events_ = events; }
  fabric::Failure Connect(std::span<const std::byte> data) override { return Introduce(data); }
  fabric::Failure Establish() override { return {}; }
  fabric::Failure Accept(std::span<const std::byte> data) override { return Introduce(data); }
  fabric::Failure Post(const fabric::WriteRequest& request) override;
  fabric::Failure Ring() override { return {}; }
  void AwaitSent() override {}
  fabric::Failure Allocate(size_t bytes, fabric::Access access, fabric::Region* region) override;
  void Free(const fabric::Region& region) override;
  [[nodiscard]] bool can_revoke() const override { return true; }
  [[nodiscard]] bool has_slab(fabric::SlabSize) const override { return device_->memory.HasSlab(); }
  fabric::SlabRef TakeSlab(fabric::SlabSize) override { return device_->memory.TakeSlab(); }
  fabric::Failure Expose(fabric::Slab* slab, uint32_t* remote_key) override;
  fabric::Failure Revoke(fabric::Slab* slab, uint64_t token) override;
  [[nodiscard]] fabric::SlabRef FindSlab(std::span<const std::byte> bytes) const override {
    return device_->memory.FindSlab(bytes);
  }
  [[nodiscard]] std::optional<uint32_t> LocalKey(
      const fabric::Registration& registration) const override {
    return device_->memory.LocalKey(registration);
  }
  uint32_t TakeCredits(uint32_t count) override { return count / 2; }
  void Abort() override;
  void Release() override;
  [[nodiscard]] uint32_t send_requests_max() const override { return kSendRequests; }
  [[nodiscard]] uint32_t receive_requests() const override { return 8; }
  [[nodiscard]] uint32_t inline_bytes_max() const override { return 16; }
  [[nodiscard]] fabric::Address local_address() const override { return {}; }
  [[nodiscard]] fabric::Address remote_address() const override { return {}; }
  [[nodiscard]] fabric::EndpointInfo info() const override { return {}; }

 private:
  static constexpr uint32_t kSendRequests = 16;

  struct Posted {
    uint64_t token;
    uint32_t places;
    std::vector<fabric::Segment> segments;
    uint32_t revoked_key;
  };
  struct Range {
    uint64_t address;
    uint64_t bytes;
  };

  fabric::Failure Introduce(std::span<const std::byte> data);
  void TakePlace();
  void CheckTarget(const fabric::WriteRequest& request, uint64_t bytes) const;
  /// An update of ours told the peer of a buffer.
  void NoteUpdate(const fabric::WriteRequest& request);

  Device* device_;
  fabric::EndpointEvents* events_ = nullptr;
  bool quiet_ = false;
  bool claimed_ = false;
  bool released_ = false;
  bool connected_ = false;
  bool posts_fail_ = false;
  uint32_t in_use_ = 0;
  uint32_t exposures_posted_ = 0;
  std::deque<Posted> posted_;
  std::vector<uint32_t> regions_;
  std::vector<uint32_t> exposed_;
  std::vector<Range> announced_;
  stream::wire::ConnectData own_;
  /// What we published, in order.
  std::deque<stream::wire::RemoteBuffer> published_;
};

}  // namespace fuzz
