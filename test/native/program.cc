#include "program.h"

#include <algorithm>
#include <utility>

namespace simulation {

using fabric::Status;
using stream::Connection;

std::byte Program::Byte(uint64_t position, bool active) const {
  return static_cast<std::byte>((position * 31 + position / 251 + seed_ + (active ? 7 : 0)) & 0xff);
}

uint64_t Program::Checksum(std::span<const std::byte> bytes) {
  uint64_t sum = 1;
  for (const std::byte byte : bytes) sum = (sum ^ static_cast<uint64_t>(byte)) * 0x100000001b3;
  return sum;
}

void Program::Listen() {
  if (!std::exchange(has_news_, false)) return;
  const uint32_t news = connection->TakeNews();
  if ((news & stream::kNewsResponse) != 0) answered_ = true;
  if ((news & stream::kNewsAccepted) != 0) open_ = true;
  if ((news & stream::kNewsReadable) != 0) readable_ = true;
  if ((news & stream::kNewsWritable) != 0) writable_ = true;
  if ((news & stream::kNewsEnd) != 0) peer_ended_ = true;
  if ((news & (stream::kNewsFailed | stream::kNewsConnectFailed)) != 0) failed_ = true;
  if ((news & stream::kNewsSent) != 0) ReuseSent();
  if ((news & stream::kNewsClosed) == 0) return;
  released_ = true;
  in_flight_.clear();
  next_ = {};
}

void Program::Act(Random& random, bool finish) {
  if (released_) return;
  if (std::exchange(answered_, false)) {
    open_ = connection->Establish().ok();
    if (!open_) return connection->Close();
  }
  if (open_ && !std::exchange(begun_, true)) connection->SetReadInPlace(habits_.views_max > 0);
  if (random() % 16 == 0) DropViews(random, false);
  if (finish || (!habits_.reads_late && random() % habits_.read_pause == 0)) Read(random);
  if (failed_ && !readable_) return connection->Close();
  if (!open_) return;
  ended_ = peer_ended_ && connection->readable_bytes() == 0;
  if (random() % 64 == 0) connection->SendKeepalive();
  connection->CheckKeepalive();
  if (finish || random() % 8 == 0) connection->Flush();
  if (finish || random() % habits_.write_pause == 0) Write(random);
  const bool all_sent = sent_ == habits_.bytes_to_send || write_failed_;
  if (!all_sent) return;
  const bool ends_first =
      habits_.ending == Ending::kShutdownFirst || habits_.ending == Ending::kCloseFirst;
  if (!ends_first && !ended_) return;
  const bool shuts_down =
      habits_.ending == Ending::kShutdownFirst || habits_.ending == Ending::kShutdownLast;
  if (shuts_down && !shut_) shut_ = connection->Shutdown() == Status::kOk;
  if (habits_.ending == Ending::kCloseFirst || ended_) connection->Close();
}

void Program::Disturb(Random& random) {
  if (released_ || connection == nullptr) return;
  disturbed_ = true;
  if (random() % 2 == 0) {
    connection->Reset();
  } else {
    connection->Close();
  }
}

void Program::Take(std::span<const std::byte> bytes) {
  if (any_bytes_) return;
  for (const std::byte byte : bytes) corrupt_ |= byte != Byte(received_++, !active_);
}

void Program::Read(Random& random) {
  if (!readable_) return;
  if (ReadInPlace(random)) return;
  scratch_.resize(1 + random() % habits_.read_bytes_max);
  const size_t bytes = connection->Read(scratch_);
  Take(std::span(scratch_).first(bytes));
  // Short of a view there may be more.
  if (bytes < scratch_.size()) readable_ = connection->readable_bytes() > 0;
}

bool Program::ReadInPlace(Random& random) {
  if (habits_.views_max == 0) return false;
  if (random() % 32 == 0) connection->SetReadInPlace(random() % 4 != 0);
  const std::optional<stream::View> view = connection->ReadInPlace();
  if (!view) return false;
  if (views_.size() == habits_.views_max) DropViews(random, false);
  Take(view->bytes);
  received_in_place_ += view->bytes.size();
  views_.push_back({.slab = view->slab, .bytes = view->bytes, .checksum = Checksum(view->bytes)});
  return true;
}

void Program::Write(Random& random) {
  if (sent_ == habits_.bytes_to_send || write_failed_ || !writable_ || failed_) return;
  const uint64_t bytes =
      std::min<uint64_t>(1 + random() % habits_.write_bytes_max, habits_.bytes_to_send - sent_);
  const bool in_place = habits_.in_place_writes > 0 && random() % habits_.in_place_writes == 0;
  if (in_place && PrepareChunk(random)) return WriteInPlace(bytes);
  if (in_place && random() % 2 == 0) return WriteHeld(bytes);
  WriteCopied(random, bytes);
}

void Program::WriteCopied(Random& random, uint64_t bytes) {
  scratch_.resize(bytes);
  for (size_t i = 0; i < scratch_.size(); i++) scratch_[i] = Byte(sent_ + i, active_);
  size_t taken = 0;
  const bool more = sent_ + bytes < habits_.bytes_to_send && random() % 3 == 0;
  // As a socket: an error while writing is the end of writing, and what came is still read.
  write_failed_ = connection->Write(scratch_, more, &taken) != Status::kOk;
  writable_ = taken == scratch_.size();
  sent_ += taken;
}

bool Program::PrepareChunk(Random& random) {
  if (next_.slab) return true;
  if (!next_.memory) {
    if (random() % 2 == 0 && take_slab_) next_.slab = take_slab_();
    if (next_.slab) return true;
    next_.memory = std::make_shared<std::vector<std::byte>>(1 + random() % 3000);
    // The memory lives until the fabric says that nothing is registered any more.
    next_.registration = fabric_->Register(*next_.memory, [kept = next_.memory] {});
  }
  // Where nothing has to be registered, there is no registration.
  if (!next_.registration) return false;
  const fabric::Endpoint* endpoint = connection->endpoint();
  return endpoint != nullptr && endpoint->LocalKey(*next_.registration).has_value();
}

void Program::WriteInPlace(uint64_t bytes) {
  const std::span<std::byte> memory = next_.bytes();
  const auto source = memory.first(std::min<uint64_t>(bytes, memory.size()));
  for (size_t i = 0; i < source.size(); i++) source[i] = Byte(sent_ + i, active_);
  stream::Source kept;
  if (next_.slab) {
    kept = {.memory = next_.slab, .local_key = next_.slab->local_key()};
  } else {
    kept = {.memory = next_.registration,
            .local_key = *connection->endpoint()->LocalKey(*next_.registration)};
  }
  size_t taken = 0;
  write_failed_ = connection->WriteInPlace(source, std::move(kept), &taken) != Status::kOk;
  writable_ = taken == source.size();
  sent_ += taken;
  if (taken > 0) in_flight_.push_back(std::exchange(next_, {}));
}

void Program::WriteHeld(uint64_t bytes) {
  const std::span<std::byte> memory = next_.bytes();
  const auto source = memory.first(std::min<uint64_t>(bytes, memory.size()));
  for (size_t i = 0; i < source.size(); i++) source[i] = Byte(sent_ + i, active_);
  size_t taken = 0;
  write_failed_ = connection->WriteHeld(source, next_.memory, &taken) != Status::kOk;
  writable_ = taken == source.size();
  sent_ += taken;
  if (taken > 0) in_flight_.push_back(std::exchange(next_, {}));
}

void Program::ReuseSent() {
  for (uint32_t count = connection->TakeSentCount(); count > 0; count--) {
    if (in_flight_.empty()) {
      corrupt_ = true;
      return;
    }
    // From now on it may be used for something else. A peer that is closing may get to see that,
    // and throws it away.
    if (peer->listens()) {
      for (std::byte& byte : in_flight_.front().bytes()) byte = std::byte{0xee};
    }
    in_flight_.pop_front();
  }
}

bool Program::listens() const {
  return connection != nullptr && connection->state() == stream::State::kOpen;
}

bool Program::ViewsChanged() const {
  return std::any_of(views_.begin(), views_.end(),
                     [](const View& view) { return Checksum(view.bytes) != view.checksum; });
}

void Program::DropViews(Random& random, bool all) {
  while (!views_.empty()) {
    std::swap(views_[random() % views_.size()], views_.back());
    // Seen by Corrupt, even if nobody asks before the view is gone.
    corrupt_ |= Checksum(views_.back().bytes) != views_.back().checksum;
    views_.pop_back();
    if (!all) return;
  }
}

}  // namespace simulation
