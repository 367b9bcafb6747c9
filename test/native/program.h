#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "fabric/fabric.h"
#include "fabric/memory.h"
#include "stream/connection.h"

namespace simulation {

using namespace rdma_net;

using Random = std::mt19937_64;

/// How a program ends its connection.
enum class Ending : uint8_t {
  /// Half-close when all is sent, and close when the peer has ended, too.
  kShutdownFirst,
  /// Half-close when all is sent and the peer has ended.
  kShutdownLast,
  /// No half-close: close when all is sent and the peer has ended.
  kCloseLast,
  /// Close when all is sent, whatever comes in.
  kCloseFirst,
};

/// What a program does with its connection; chosen by the seed.
struct Habits {
  uint64_t bytes_to_send = 0;
  size_t write_bytes_max = 1;
  size_t read_bytes_max = 1;
  /// One in so many chances to act is taken.
  uint32_t write_pause = 1;
  uint32_t read_pause = 1;
  /// Reads nothing at all until the faults stop.
  bool reads_late = false;
  /// Views of slabs that it keeps at most, 0 for a program that always copies.
  uint32_t views_max = 0;
  /// One in so many writes is made in place, 0 for none.
  uint32_t in_place_writes = 0;
  Ending ending = Ending::kShutdownFirst;
};

/// A slab for a program to write from in place; empty when there is none.
using TakeSlab = std::function<fabric::SlabRef()>;

/// One end of a connection, and the program that uses it as a socket would: it reads and writes
/// when it was told that it can, and not otherwise. The bytes of its stream can be computed.
class Program final : public stream::ConnectionObserver {
 public:
  /// @param take_slab where its slabs come from; null where there are none
  /// @param seed tells the streams of different connections apart
  Program(fabric::Fabric* fabric, TakeSlab take_slab, bool active, uint64_t seed,
          const Habits& habits)
      : habits_(habits),
        fabric_(fabric),
        take_slab_(std::move(take_slab)),
        active_(active),
        seed_(seed) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  Program(Program&&) = delete;
  Program& operator=(Program&&) = delete;
  ~Program() = default;

  std::unique_ptr<stream::Connection> connection;
  const Program* peer = nullptr;

  void OnNews(stream::Connection*) override { has_news_ = true; }
  [[nodiscard]] uint64_t now_ms() const override { return fabric_->now_ms(); }

  /// Takes the news, if there are any.
  void Listen();
  /// One random act of the program; `finish` makes it read and write without pauses.
  void Act(Random& random, bool finish);
  /// It loses patience; from then on nothing is promised.
  void Disturb(Random& random);
  /// The peer may write anything: only that views keep their bytes is checked.
  void ExpectAnything() { any_bytes_ = true; }

  [[nodiscard]] const Habits& habits() const { return habits_; }
  [[nodiscard]] uint64_t sent() const { return sent_; }
  [[nodiscard]] uint64_t received() const { return received_; }
  [[nodiscard]] uint64_t received_in_place() const { return received_in_place_; }
  /// Whether its connection still takes what the peer sends.
  [[nodiscard]] bool listens() const;
  /// Not one byte of the connection is left.
  [[nodiscard]] bool released() const { return released_; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool write_failed() const { return write_failed_; }
  [[nodiscard]] bool disturbed() const { return disturbed_; }
  /// The peer said that nothing more comes, and everything before was read.
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool corrupt() const { return corrupt_; }
  /// Bytes of a view are others than when it was handed out. Looks at all views that are kept.
  [[nodiscard]] bool ViewsChanged() const;
  /// Lets go of all views, or of one.
  void DropViews(Random& random, bool all);

 private:
  struct View {
    fabric::SlabRef slab;
    std::span<const std::byte> bytes;
    uint64_t checksum;
  };

  /// Memory of the program that it writes from in place.
  struct Chunk {
    fabric::SlabRef slab;
    std::shared_ptr<std::vector<std::byte>> memory;
    fabric::RegistrationRef registration;

    [[nodiscard]] std::span<std::byte> bytes() const {
      return slab ? slab->memory() : std::span<std::byte>(*memory);
    }
  };

  void Read(Random& random);
  bool ReadInPlace(Random& random);
  void Write(Random& random);
  void WriteCopied(Random& random, uint64_t bytes);
  void WriteInPlace(uint64_t bytes);
  void WriteHeld(uint64_t bytes);
  /// Memory to write from in place, if the next of it is ready.
  bool PrepareChunk(Random& random);
  void ReuseSent();
  void Take(std::span<const std::byte> bytes);
  [[nodiscard]] static uint64_t Checksum(std::span<const std::byte> bytes);
  [[nodiscard]] std::byte Byte(uint64_t position, bool active) const;

  Habits habits_;
  fabric::Fabric* fabric_;
  TakeSlab take_slab_;
  bool has_news_ = false;
  bool active_;
  uint64_t seed_;
  bool any_bytes_ = false;
  bool open_ = false;
  bool begun_ = false;
  bool readable_ = false;
  bool writable_ = true;
  bool answered_ = false;
  bool peer_ended_ = false;
  bool ended_ = false;
  bool shut_ = false;
  bool released_ = false;
  bool failed_ = false;
  bool write_failed_ = false;
  bool disturbed_ = false;
  bool corrupt_ = false;
  uint64_t received_ = 0;
  uint64_t received_in_place_ = 0;
  uint64_t sent_ = 0;
  std::vector<View> views_;
  Chunk next_;
  /// Written in place, in order, and not yet sent.
  std::deque<Chunk> in_flight_;
  std::vector<std::byte> scratch_;
};

}  // namespace simulation
