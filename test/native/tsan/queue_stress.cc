#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "local/message_queue.h"
#include "tap.h"

/// A producer and a consumer of the queue that programs of one host share, as two threads, so that
/// ThreadSanitizer sees both. It does not know fences: those are for the sleep alone, and the same
/// program without it, with many more messages, shows that nothing is slept over.
///
///     queue-stress               MESSAGES (1,000,000) in rounds of a random seed, which is printed
///     SEED=7 queue-stress        the rounds of one seed
namespace {

using rdma_net::local::Cell;
using rdma_net::local::QueueConsumer;
using rdma_net::local::QueueControl;
using rdma_net::local::QueueProducer;
using Random = std::mt19937_64;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kMessagesByDefault = 1'000'000;
constexpr uint64_t kMessagesOfRound = 10'000;
constexpr uint32_t kMessageCellsMax = 5;
constexpr size_t kPayloadBytesMax = 200;
constexpr std::chrono::seconds kPatience{4};

/// Wakes a thread: by a descriptor, as programs do, or by a word that the sleeper watches, which
/// takes so little time that many more sleeps meet a message that is just being put.
class Bell {
 public:
  explicit Bell(bool by_descriptor)
      : file_(by_descriptor ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1) {}
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  Bell(Bell&&) = delete;
  Bell& operator=(Bell&&) = delete;
  ~Bell() {
    if (file_ >= 0) close(file_);
  }

  void Ring() {
    if (file_ >= 0) {
      eventfd_write(file_, 1);
    } else {
      rung_.store(1, std::memory_order_relaxed);
    }
  }

  /// False when nobody rang within kPatience.
  bool Wait() {
    if (file_ >= 0) {
      pollfd entry = {.fd = file_, .events = POLLIN, .revents = 0};
      const auto patience = std::chrono::milliseconds(kPatience);
      if (poll(&entry, 1, static_cast<int>(patience.count())) != 1) return false;
      eventfd_t value = 0;
      return eventfd_read(file_, &value) == 0;
    }
    const Clock::time_point end = Clock::now() + kPatience;
    for (uint32_t turns = 1; rung_.load(std::memory_order_relaxed) == 0; turns++) {
      if (turns % 4096 != 0) continue;
      if (Clock::now() > end) return false;
      sched_yield();
    }
    rung_.store(0, std::memory_order_relaxed);
    return true;
  }

 private:
  int file_;
  std::atomic<uint32_t> rung_{0};
};

/// Bytes that a message announces. They are not atomic, and lie outside of the queue.
struct Payload {
  std::array<uint8_t, kPayloadBytesMax> bytes;
};

uint32_t CellsOf(uint64_t number) {
  return 1 + static_cast<uint32_t>((number * 0x9e3779b97f4a7c15U) >> 40U) % kMessageCellsMax;
}

size_t BytesOf(uint64_t number) {
  return (number * 0xbf58476d1ce4e5b9U >> 32U) % (kPayloadBytesMax + 1);
}

uint8_t ByteOf(uint64_t number, size_t position) {
  return static_cast<uint8_t>(number * 31 + position);
}

uint32_t WordOf(uint64_t number, uint32_t cell, size_t word) {
  return static_cast<uint32_t>(number * 7 + uint64_t{cell} * 4 + word);
}

/// A random time of a few hundred nanoseconds at most, so that the threads meet in every way.
void Dawdle(Random& random, uint32_t turns_max) {
  if (turns_max == 0) return;
  for (uint64_t turns = random() % turns_max; turns > 0; turns--) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

class Round {
 public:
  Round(uint64_t seed, uint64_t messages)
      : random_(seed),
        messages_(messages),
        memory_(size_t{8} << random_() % 4),
        payloads_(memory_.size()),
        producer_turns_(static_cast<uint32_t>(random_() % 3 * 150)),
        consumer_turns_(static_cast<uint32_t>(random_() % 3 * 150)),
        batch_max_(static_cast<uint32_t>(1 + random_() % 8)),
        by_descriptor_(random_() % 2 == 0),
        producer_bell_(by_descriptor_),
        consumer_bell_(by_descriptor_) {}

  /// What went wrong, or nothing.
  std::string Run() {
    const uint64_t producer_seed = random_();
    const uint64_t consumer_seed = random_();
    std::thread producer([this, producer_seed] { Produce(producer_seed); });
    Consume(consumer_seed);
    stop_.store(true);
    producer_bell_.Ring();
    producer.join();
    return wrong_.empty() ? producer_wrong_ : wrong_;
  }

 private:
  void Produce(uint64_t seed) {
    Random random(seed);
    QueueProducer queue(&control_, memory_);
    for (uint64_t number = 0; number < messages_; number++) {
      std::array<Cell, kMessageCellsMax> message;
      const uint32_t cells = CellsOf(number);
      if (!WaitForRoom(&queue, cells)) return;
      // No more messages than cells are under way, so that the consumer is done with the payload.
      std::array<uint8_t, kPayloadBytesMax>& bytes = payloads_[number % payloads_.size()].bytes;
      for (size_t i = 0; i < BytesOf(number); i++) bytes[i] = ByteOf(number, i);
      for (uint32_t cell = 0; cell < cells; cell++) {
        for (size_t word = 0; word < 4; word++) {
          message[cell].words[word] = WordOf(number, cell, word);
        }
      }
      queue.Put(std::span(message).first(cells));
      if (queue.MustRing()) consumer_bell_.Ring();
      Dawdle(random, producer_turns_);
    }
  }

  bool WaitForRoom(QueueProducer* queue, uint32_t cells) {
    while (queue->room() < cells) {
      queue->AskForRoom();
      if (queue->room() >= cells) return true;
      if (stop_.load()) return false;
      if (producer_bell_.Wait()) continue;
      if (!stop_.load()) producer_wrong_ = "the producer was not rung: " + Describe();
      return false;
    }
    return true;
  }

  void Consume(uint64_t seed) {
    Random random(seed);
    QueueConsumer queue(&control_, memory_);
    uint64_t number = 0;
    while (number < messages_ && wrong_.empty()) {
      if (queue.available() == 0) {
        queue.Sleep();
        if (queue.available() == 0 && !consumer_bell_.Wait()) {
          wrong_ = "message " + std::to_string(number) + " was slept over: " + Describe();
        }
        queue.WakeUp();
        continue;
      }
      for (uint32_t n = 0; n < batch_max_ && queue.available() > 0 && wrong_.empty(); n++) {
        Check(&queue, number++);
      }
      queue.Publish();
      if (queue.MustRing()) producer_bell_.Ring();
      Dawdle(random, consumer_turns_);
    }
  }

  void Check(QueueConsumer* queue, uint64_t number) {
    const uint32_t cells = CellsOf(number);
    bool right = queue->available() >= cells && queue->available() <= queue->capacity();
    for (uint32_t i = 0; right && i < cells; i++) {
      const Cell cell = queue->Look(i);
      for (size_t word = 0; word < 4; word++) {
        right = right && cell.words[word] == WordOf(number, i, word);
      }
    }
    const std::array<uint8_t, kPayloadBytesMax>& bytes = payloads_[number % payloads_.size()].bytes;
    for (size_t i = 0; right && i < BytesOf(number); i++) right = bytes[i] == ByteOf(number, i);
    queue->Take(cells);
    if (!right) wrong_ = "message " + std::to_string(number) + " is another: " + Describe();
  }

  [[nodiscard]] std::string Describe() const {
    return "tail " + std::to_string(control_.tail.load()) + ", head " +
           std::to_string(control_.head.load()) + ", sleeping " +
           std::to_string(control_.sleeping.load()) + ", wants room " +
           std::to_string(control_.wants_room.load()) + ", cells " +
           std::to_string(memory_.size()) + (by_descriptor_ ? ", bells are descriptors" : "");
  }

  Random random_;
  uint64_t messages_;
  QueueControl control_{};
  std::vector<Cell> memory_;
  std::vector<Payload> payloads_;
  uint32_t producer_turns_;
  uint32_t consumer_turns_;
  uint32_t batch_max_;
  bool by_descriptor_;
  Bell producer_bell_;
  Bell consumer_bell_;
  std::atomic<bool> stop_{false};
  std::string wrong_;
  std::string producer_wrong_;
};

uint64_t Environment(const char* name, uint64_t by_default) {
  const char* text = std::getenv(name);
  return text == nullptr ? by_default : std::strtoull(text, nullptr, 10);
}

TEST("queue: between two threads nothing is lost, changed, reordered or slept over") {
  const uint64_t first = Environment("SEED", std::random_device{}());
  std::printf("# SEED=%llu\n", static_cast<unsigned long long>(first));
  std::fflush(stdout);
  const uint64_t messages = Environment("MESSAGES", kMessagesByDefault);
  for (uint64_t done = 0; done < messages; done += kMessagesOfRound) {
    Round round(first + done / kMessagesOfRound, std::min(kMessagesOfRound, messages - done));
    const std::string wrong = round.Run();
    if (wrong.empty()) continue;
    const std::string text = "round " + std::to_string(done / kMessagesOfRound) + ": " + wrong;
    t.Check(false, text.c_str(), __FILE__, __LINE__);
    break;
  }
}

}  // namespace

int main() {
  return tap::RunAll("") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
