#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "input.h"
#include "scripted_endpoint.h"
#include "stream/connection.h"
#include "stream/outbox.h"

/// The engine under a peer, a device and a program that do what the fuzzer says. Each byte of the
/// input chooses a step, and the bytes behind it are what the step needs. Whatever happens: the
/// engine writes nowhere but where the peer said, uses no memory that is not its own any more, the
/// bytes of a view never change, and in the end nothing is left.
namespace fuzz {
namespace {

using stream::Connection;
using stream::wire::ConnectData;
using stream::wire::Control;
using stream::wire::EncodeImmediate;
using stream::wire::Operation;
using stream::wire::RemoteBuffer;
using stream::wire::Violation;

constexpr uint64_t kPeerMemory = 0x10'0000;
constexpr uint32_t kPeerBytes = 4096;

class Script final : public stream::ConnectionObserver {
 public:
  explicit Script(std::span<const std::byte> bytes) : input_(bytes) {}

  void Run() {
    Begin();
    while (!input_.empty() && endpoint_ != nullptr) {
      Step();
      if (endpoint_ != nullptr && endpoint_->released()) FinishRelease();
    }
    End();
  }

  void OnNews(Connection*) override {}
  [[nodiscard]] uint64_t now_ms() const override { return now_ms_; }

 private:
  struct Held {
    stream::View view;
    std::vector<std::byte> copy;
  };

  void Begin() {
    auto endpoint = std::make_unique<ScriptedEndpoint>(&device_);
    endpoint_ = endpoint.get();
    active_ = input_.Byte() % 2 == 0;
    if (active_) {
      endpoint->Attach(&connection_);
      connection_.Start(std::move(endpoint));
      connection_.OnRouted();
      return;
    }
    const std::vector<std::byte> data = PeerData();
    connection_.Accept(std::move(endpoint), data);
    accepted_ = true;
  }

  /// The peer's connection data: valid, with numbers of the fuzzer's, or anything.
  std::vector<std::byte> PeerData() {
    const uint8_t kind = input_.Byte();
    if (kind % 4 == 3) {
      const auto raw = input_.Bytes(input_.Byte());
      ConnectData data;
      if (DecodeConnectData(raw, &data) == Violation::kNone) AnnounceAll(data);
      return {raw.begin(), raw.end()};
    }
    ConnectData data = {.credits = static_cast<uint16_t>(1 + input_.Byte()),
                        .sgl_address = kPeerMemory,
                        .sgl_remote_key = 1,
                        .sgl_entries = 1U + kind % 3,
                        .first_buffer = {.address = kPeerMemory + kPeerBytes,
                                         .remote_key = 1,
                                         .bytes = 1U + input_.Number<uint16_t>()}};
    data.big_endian = (kind & 0x80) != 0;
    AnnounceAll(data);
    std::array<std::byte, stream::wire::kConnectDataBytes + stream::wire::kExtensionBytes> bytes;
    const size_t length = EncodeConnectData(data, bytes);
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
  }

  void AnnounceAll(const ConnectData& data) {
    endpoint_->Announce(data.sgl_address,
                        uint64_t{data.sgl_entries} * stream::wire::kBufferEntryBytes);
    endpoint_->Announce(data.first_buffer.address, data.first_buffer.bytes);
  }

  /// Messages may come in.
  [[nodiscard]] bool flows() const { return !endpoint_->quiet() && (accepted_ || established_); }

  void Step() {
    const uint8_t choice = input_.Byte() % 28;
    if (choice < 10) {
      PeerStep(choice);
    } else if (choice < 16) {
      DeviceStep(choice);
    } else {
      ProgramStep(choice);
    }
  }

  void PeerStep(uint8_t choice) {
    if (!flows()) return Handshake(choice);
    fabric::EndpointEvents* events = endpoint_->events();
    switch (choice) {
      case 0:
        endpoint_->Claim();
        return events->OnMessage(input_.Number<uint32_t>(), input_.Number<uint16_t>());
      case 1:
      case 2: {
        uint32_t bytes = choice == 1 ? input_.Byte() : UINT32_MAX;
        if (!endpoint_->WriteData(&bytes, std::byte{input_.Byte()})) return;
        return events->OnMessage(EncodeImmediate(Operation::kData, bytes), bytes);
      }
      case 3: {
        endpoint_->Claim();
        const uint32_t value = input_.Byte();
        return events->OnMessage(EncodeImmediate(Operation::kData, value), input_.Byte());
      }
      case 4: {
        const uint8_t offset = input_.Byte();
        return endpoint_->WriteSlots(offset, input_.Bytes(input_.Byte() % 33));
      }
      case 5:
      case 6:
        return Update(choice == 6);
      case 7: {
        const auto control = static_cast<uint32_t>(input_.Byte() % 4);
        return events->OnMessage(EncodeImmediate(Operation::kControl, control), 0);
      }
      case 8:
        return endpoint_->WriteAnywhere(input_.Byte(), std::byte{0x77});
      default:
        return Handshake(choice);
    }
  }

  /// A buffer, or credits only, as an honest peer would announce them.
  void Update(bool buffer) {
    limit_ = static_cast<uint16_t>(limit_ + input_.Byte() % 8);
    uint32_t bytes = 0;
    if (buffer) {
      const RemoteBuffer next = {.address = kPeerMemory + 2 * kPeerBytes,
                                 .remote_key = 2,
                                 .bytes = 1U + input_.Number<uint16_t>()};
      std::array<std::byte, stream::wire::kBufferEntryBytes> entry;
      EncodeBufferEntry(next, std::endian::native == std::endian::big, entry);
      endpoint_->WriteSlots((slot_++ % 2) * entry.size(), entry);
      bytes = entry.size();
    }
    endpoint_->events()->OnMessage(EncodeImmediate(Operation::kBufferUpdate, limit_), bytes);
  }

  void Handshake(uint8_t choice) {
    if (endpoint_->quiet()) return;
    fabric::EndpointEvents* events = endpoint_->events();
    if (choice % 4 == 3) {
      if (established_ || told_) return;
      told_ = true;
      return events->OnConnectFailed({.status = fabric::Status::kTimedOut});
    }
    if (active_ && !answered_ && endpoint_->connected()) {
      answered_ = true;
      return events->OnResponse(PeerData());
    }
    if (!active_ && !told_) {
      told_ = true;
      events->OnEstablished();
    }
  }

  void DeviceStep(uint8_t choice) {
    switch (choice) {
      case 10:
      case 11:
        return endpoint_->Complete();
      case 12:
        for (uint32_t n = input_.Byte() % 16; n > 0; n--) endpoint_->Complete();
        return;
      case 13:
        now_ms_ += input_.Number<uint16_t>();
        device_.scheduler.Step();
        return;
      case 14:
        if (input_.Byte() % 4 == 0) endpoint_->set_posts_fail(true);
        return;
      default:
        return Fail();
    }
  }

  void Fail() {
    if (!flows()) return;
    fabric::EndpointEvents* events = endpoint_->events();
    switch (input_.Byte() % 8) {
      case 0:
        return events->OnBroken({.status = fabric::Status::kRetriesExceeded});
      case 1:
        return events->OnDisconnected();
      case 2:
        return events->OnStray();
      default:
        return;
    }
  }

  void ProgramStep(uint8_t choice) {
    switch (choice) {
      case 16: {
        std::vector<std::byte> target(input_.Byte());
        connection_.Read(target);
        return;
      }
      case 17:
        return KeepView();
      case 18:
        if (!views_.empty()) views_.erase(views_.begin() + input_.Byte() % views_.size());
        return;
      case 19:
      case 20: {
        const std::vector<std::byte> source(choice == 19 ? input_.Byte() : 3000);
        size_t taken = 0;
        connection_.Write(source, input_.Byte() % 2 == 0, &taken);
        return;
      }
      case 21:
        return WriteInPlace();
      case 22:
        static_cast<void>(connection_.TakeNews());
        connection_.TakeSentCount();
        return connection_.Flush();
      case 23:
        connection_.SetReadInPlace(input_.Byte() % 4 != 0);
        return;
      case 24:
        connection_.CheckKeepalive();
        return connection_.SendKeepalive();
      case 25:
        if (active_ && answered_ && !established_) established_ = connection_.Establish().ok();
        return;
      case 26:
        connection_.Shutdown();
        return;
      default:
        if (input_.Byte() % 2 == 0) return connection_.Close();
        if (input_.Byte() % 8 == 0) connection_.Reset();
    }
  }

  void KeepView() {
    std::optional<stream::View> view = connection_.ReadInPlace();
    if (!view) return;
    views_.push_back({.view = *view, .copy = {view->bytes.begin(), view->bytes.end()}});
    CheckViews();
  }

  void WriteInPlace() {
    const fabric::SlabRef slab = device_.memory.TakeSlab();
    if (!slab) return;
    const auto source = slab->memory().first(1 + input_.Byte() % slab->bytes());
    size_t taken = 0;
    connection_.WriteInPlace(source, {.memory = slab, .local_key = slab->local_key()}, &taken);
  }

  void CheckViews() const {
    for (const Held& held : views_) {
      Require(std::equal(held.copy.begin(), held.copy.end(), held.view.bytes.begin()),
              "the bytes of a view never change");
    }
  }

  void FinishRelease() {
    ScriptedEndpoint* endpoint = std::exchange(endpoint_, nullptr);
    endpoint->FinishRelease();
  }

  void End() {
    if (endpoint_ != nullptr) {
      connection_.Reset();
      FinishRelease();
    }
    CheckViews();
    views_.clear();
    for (const std::string& finding : device_.findings) Require(false, finding.c_str());
    Require(device_.memory.regions() == 0, "no memory is left registered");
    Require(device_.memory.exposures() == 0, "no slab is left exposed");
    Require(device_.memory.pool().slabs_used() == 0, "every slab comes back");
  }

  static stream::Options EngineOptions() {
    stream::Options options;
    options.receive.own_bytes = stream::Receiver::kHeadBytes + 300;
    options.receive.window_bytes = 1024;
    options.receive.view_bytes_min = 16;
    options.receive.credits_max = 20;
    options.send.ring_bytes = 1000;
    options.send.message_bytes_max = 500;
    return options;
  }

  Input input_;
  Device device_{{.slab_bytes = 256, .slabs_at_first = 2, .slabs_max = 8}};
  ScriptedEndpoint* endpoint_ = nullptr;
  Connection connection_{1, EngineOptions(), this};
  std::vector<Held> views_;
  bool active_ = false;
  bool accepted_ = false;
  bool answered_ = false;
  bool established_ = false;
  /// The end of the handshake was reported.
  bool told_ = false;
  uint16_t limit_ = 0;
  uint32_t slot_ = 1;
  uint64_t now_ms_ = 1;
};

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Script script({reinterpret_cast<const std::byte*>(data), size});
  script.Run();
  return 0;
}
