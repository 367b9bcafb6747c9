#include "local/inbox.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace rdma_net::local {

Inbox::Inbox()
    : memory_(SharedMemory::Create(InboxLayout::kBytes)),
      doorbell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!valid()) return;
  const InboxLayout layout(memory_.memory());
  queue_ = QueueConsumer(layout.control, layout.cells);
  arena_ = Arena(layout.arena);
}

PeerInbox::PeerInbox(SharedMemory memory, system::FileDescriptor doorbell, uint64_t address)
    : memory_(std::move(memory)), doorbell_(std::move(doorbell)), address_(address) {
  const InboxLayout layout(memory_.memory());
  queue_ = QueueProducer(layout.control, layout.cells);
}

bool PeerInbox::IsDoorbell(int file) {
  std::array<char, 32> target{};
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const ssize_t bytes = readlink(path.c_str(), target.data(), target.size());
  const std::string_view expected = "anon_inode:[eventfd]";
  if (bytes < 0 || std::string_view(target.data(), static_cast<size_t>(bytes)) != expected) {
    return false;
  }
  // One that is full would hold up whoever rings it.
  return fcntl(file, F_SETFL, O_NONBLOCK) == 0;
}

std::span<std::byte> PeerInbox::Translate(uint64_t address, size_t bytes) const {
  const std::span<std::byte> all = memory_.memory();
  const uint64_t offset = address - address_;
  if (offset < InboxLayout::kArenaOffset || offset > all.size() || bytes > all.size() - offset) {
    return {};
  }
  return all.subspan(static_cast<size_t>(offset), bytes);
}

void PeerInbox::Ring() const {
  // It fails when the counter is full, and then the peer has been rung.
  eventfd_write(doorbell_.get(), 1);
}

}  // namespace rdma_net::local
