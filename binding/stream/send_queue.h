#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "fabric/fabric.h"
#include "stream/send_ring.h"

namespace rdma_net::stream {

/// Memory of the program that may be sent from in place, kept until that is done. Where no key is
/// needed, anything that keeps it will do.
struct Source {
  std::variant<fabric::SlabRef, fabric::RegistrationRef, std::shared_ptr<void>> memory;
  uint32_t local_key = 0;
};

/// Bytes that were taken from the program and not yet by the peer's device, in the order of the
/// stream: copied ones in the ring, others where the program has them. What may be read, but not by
/// the device, is held and copied as the ring has room; nothing can be taken behind it meanwhile.
///
///        completed_          posted_           written_     (positions in the byte stream)
///     ------|-------------------|-----------------|-------->
///           | in the device     | waiting         |
///     pieces_ | ring | in place | ring ...        | held_
///
/// `completed_` is what the peer's device has acknowledged: the position that a connection would
/// have to be continued from.
class SendQueue {
 public:
  [[nodiscard]] SendRing& ring() { return ring_; }
  [[nodiscard]] const SendRing& ring() const { return ring_; }

  [[nodiscard]] uint64_t waiting_bytes() const { return written_ - posted_; }
  [[nodiscard]] bool idle() const { return written_ == completed_; }
  [[nodiscard]] bool has_room_in_place() const { return pieces_.size() < kPiecesMax; }
  /// Whether the device may still read memory of the program.
  [[nodiscard]] bool has_in_place() const { return in_place_ > 0; }
  /// Held bytes that are not copied yet.
  [[nodiscard]] uint64_t held_bytes() const { return held_.size(); }

  /// Copies in as much as the ring has room for; returns bytes.
  size_t Write(std::span<const std::byte> source);
  /// Takes all of it, by reference; only when has_room_in_place().
  void WriteInPlace(std::span<const std::byte> source, Source memory);
  /// Takes all of it for the moment; what is not posted then is given back with TakeBack.
  void Lend(std::span<const std::byte> source);
  /// Ends a loan; returns the bytes that were not posted.
  size_t TakeBack();

  /// Takes all of it, to be copied by Fill; only when nothing is held.
  void Hold(std::span<const std::byte> source, std::shared_ptr<void> owner);
  /// Copies of what is held as much as there is room for; returns bytes.
  size_t Fill();

  struct Message {
    std::array<fabric::Segment, 2> segments;
    uint32_t bytes = 0;
  };
  /// The next message, of at most `bytes_max`, and as much as two segments can hold.
  Message Post(uint32_t bytes_max);
  /// The oldest `bytes` posted are complete.
  void Complete(uint64_t bytes);
  /// Forgets what waits: it will never be posted. Returns how many writes in place, and held ones,
  /// have lost bytes: the last ones.
  uint32_t DropWaiting();
  /// Writes in place, and held ones, whose memory is no longer needed, in order; counted once.
  [[nodiscard]] uint32_t ended() const { return ended_; }
  uint32_t TakeEnded();
  /// Counts all that are under way as ended, though their memory is still kept.
  void EndAll();

 private:
  static constexpr size_t kPiecesMax = 64;

  /// A write in place, or bytes of the ring between two of these (`data` is null).
  struct Piece {
    uint64_t begin;
    uint64_t end;
    const std::byte* data = nullptr;
    Source source;
    /// Ends of writes in it that are to be told: that of a piece in place once it is complete,
    /// those of held ones in the ring at once.
    uint32_t untold = 0;
  };

  void TellEnds();
  void PopComplete();

  SendRing ring_;
  std::vector<Piece> pieces_;
  /// Of these, those in place.
  size_t in_place_ = 0;
  std::span<const std::byte> held_;
  std::shared_ptr<void> held_owner_;
  /// Index of the piece that is being posted.
  size_t posting_ = 0;
  uint64_t written_ = 0;
  uint64_t posted_ = 0;
  uint64_t completed_ = 0;
  uint32_t ended_ = 0;
};

}  // namespace rdma_net::stream
