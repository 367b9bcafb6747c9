#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace rdma_net::local {

/// A queue of messages from one process to another in memory that both can write to: one producer,
/// one consumer, no system call while both run. Neither side believes the other more than that: the
/// positions it needs are its own copies, and what it reads of the other's is checked.
///
/// Memory ordering. A message is written before the release store of `tail` and read after the
/// acquire load of it; its cells are used again after the release store of `head` and the acquire
/// load of that. So are the bytes that a message announces, which lie elsewhere in the same memory.
/// To sleep, the consumer stores `sleeping` and then loads `tail`; the producer stores `tail` and
/// then loads `sleeping`. A sequentially consistent fence between the two on each side makes sure
/// that at least one of them sees the other's store, so that no message is slept over (Dekker). The
/// same holds for `wants_room` and `head`, the other way round.

/// Messages are made of these. The other side may write to them at any time, so that each word is
/// read and written atomically: by builtins, because the C++ library that prebuilt binaries are
/// made with has no std::atomic_ref.
struct alignas(16) Cell {
  std::array<uint32_t, 4> words;
};

/// What both sides share beside the cells. Each side's words are in a cache line of their own.
struct QueueControl {
  // The producer's.
  alignas(64) std::atomic<uint32_t> tail;
  std::atomic<uint32_t> wants_room;
  // The consumer's.
  alignas(64) std::atomic<uint32_t> head;
  std::atomic<uint32_t> sleeping;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(sizeof(QueueControl) == 128);

class QueueProducer {
 public:
  QueueProducer() = default;
  /// @param cells a power of two of them
  QueueProducer(QueueControl* control, std::span<Cell> cells) : control_(control), cells_(cells) {}

  /// Cells that can be put; 0 too when the consumer claims what cannot be.
  [[nodiscard]] uint32_t room() {
    const auto capacity = static_cast<uint32_t>(cells_.size());
    const uint32_t used = tail_ - control_->head.load(std::memory_order_acquire);
    return used <= capacity ? capacity - used : 0;
  }

  /// Puts a message of no more cells than there is room for.
  void Put(std::span<const Cell> message) {
    for (const Cell& cell : message) {
      Cell& target = cells_[tail_++ & (cells_.size() - 1)];
      for (size_t i = 0; i < cell.words.size(); i++) {
        __atomic_store_n(&target.words[i], cell.words[i], __ATOMIC_RELAXED);
      }
    }
    control_->tail.store(tail_, std::memory_order_release);
  }

  /// Whether the consumer sleeps and has to be rung: true once a sleep.
  [[nodiscard]] bool MustRing() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return control_->sleeping.load(std::memory_order_relaxed) != 0 &&
           control_->sleeping.exchange(0, std::memory_order_relaxed) != 0;
  }

  /// Asks to be rung when there is room for more than there was; room() has to be looked at again
  /// after it.
  void AskForRoom() {
    control_->wants_room.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }

 private:
  QueueControl* control_ = nullptr;
  std::span<Cell> cells_;
  uint32_t tail_ = 0;
};

class QueueConsumer {
 public:
  QueueConsumer() = default;
  QueueConsumer(QueueControl* control, std::span<Cell> cells) : control_(control), cells_(cells) {}

  /// Cells that are there; more than the queue has when the producer claims what cannot be.
  [[nodiscard]] uint32_t available() const {
    return control_->tail.load(std::memory_order_acquire) - head_;
  }
  [[nodiscard]] uint32_t capacity() const { return static_cast<uint32_t>(cells_.size()); }

  /// Copies the cell `ahead` of the first; less than available().
  [[nodiscard]] Cell Look(uint32_t ahead) const {
    Cell& source = cells_[(head_ + ahead) & (cells_.size() - 1)];
    Cell cell{};
    for (size_t i = 0; i < cell.words.size(); i++) {
      cell.words[i] = __atomic_load_n(&source.words[i], __ATOMIC_RELAXED);
    }
    return cell;
  }
  /// Done with so many cells; the producer hears of it with Publish.
  void Take(uint32_t cells) { head_ += cells; }
  void Publish() { control_->head.store(head_, std::memory_order_release); }
  /// Whether the producer waits for room and has to be rung: true once.
  [[nodiscard]] bool MustRing() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return control_->wants_room.load(std::memory_order_relaxed) != 0 &&
           control_->wants_room.exchange(0, std::memory_order_relaxed) != 0;
  }

  /// Asks to be rung for the next message; available() has to be looked at again after it.
  void Sleep() {
    control_->sleeping.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void WakeUp() { control_->sleeping.store(0, std::memory_order_relaxed); }

 private:
  QueueControl* control_ = nullptr;
  std::span<Cell> cells_;
  uint32_t head_ = 0;
};

}  // namespace rdma_net::local
