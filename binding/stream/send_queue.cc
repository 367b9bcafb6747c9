#include "stream/send_queue.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace rdma_net::stream {

size_t SendQueue::Write(std::span<const std::byte> source) {
  const size_t bytes = ring_.Write(source);
  if (bytes == 0) return 0;
  const bool extends = !pieces_.empty() && pieces_.back().data == nullptr;
  if (!extends) pieces_.push_back({.begin = written_, .end = written_, .source = {}});
  written_ += bytes;
  pieces_.back().end = written_;
  return bytes;
}

void SendQueue::WriteInPlace(std::span<const std::byte> source, Source memory) {
  assert(has_room_in_place() && !source.empty());
  pieces_.push_back({.begin = written_,
                     .end = written_ + source.size(),
                     .data = source.data(),
                     .source = std::move(memory),
                     .untold = 1});
  in_place_++;
  written_ += source.size();
}

void SendQueue::Lend(std::span<const std::byte> source) {
  assert(waiting_bytes() == 0);
  pieces_.push_back(
      {.begin = written_, .end = written_ + source.size(), .data = source.data(), .source = {}});
  written_ += source.size();
}

size_t SendQueue::TakeBack() {
  const auto left = static_cast<size_t>(waiting_bytes());
  if (left == 0) return 0;
  written_ = posted_;
  pieces_.back().end = posted_;
  PopComplete();
  return left;
}

void SendQueue::Hold(std::span<const std::byte> source, std::shared_ptr<void> owner) {
  assert(held_.empty() && !source.empty());
  held_ = source;
  held_owner_ = std::move(owner);
}

size_t SendQueue::Fill() {
  if (held_.empty()) return 0;
  const size_t bytes = Write(held_);
  held_ = held_.subspan(bytes);
  if (held_.empty()) {
    held_owner_.reset();
    pieces_.back().untold++;
    TellEnds();
  }
  return bytes;
}

SendQueue::Message SendQueue::Post(uint32_t bytes_max) {
  Message message;
  for (fabric::Segment& segment : message.segments) {
    if (posted_ == written_ || message.bytes == bytes_max) break;
    while (pieces_[posting_].end == posted_) posting_++;
    const Piece& piece = pieces_[posting_];
    const auto bytes =
        static_cast<uint32_t>(std::min<uint64_t>(bytes_max - message.bytes, piece.end - posted_));
    if (piece.data == nullptr) {
      segment = ring_.Post(bytes);
    } else {
      segment = {.data = piece.data + (posted_ - piece.begin),
                 .bytes = bytes,
                 .local_key = piece.source.local_key};
    }
    posted_ += segment.bytes;
    message.bytes += segment.bytes;
  }
  return message;
}

void SendQueue::Complete(uint64_t bytes) {
  assert(bytes <= posted_ - completed_);
  const uint64_t end = completed_ + bytes;
  for (const Piece& piece : pieces_) {
    if (piece.begin >= end) break;
    const uint64_t part = std::min(piece.end, end) - std::max(piece.begin, completed_);
    if (piece.data == nullptr) ring_.Complete(static_cast<uint32_t>(part));
  }
  completed_ = end;
  PopComplete();
}

/// In the order of the writes: what waits for the device holds back what comes behind it.
void SendQueue::TellEnds() {
  for (Piece& piece : pieces_) {
    if (piece.data != nullptr && piece.end > completed_) return;
    ended_ += std::exchange(piece.untold, 0);
  }
}

void SendQueue::PopComplete() {
  TellEnds();
  size_t complete = 0;
  while (complete < pieces_.size() && pieces_[complete].end <= completed_) {
    if (pieces_[complete++].data != nullptr) in_place_--;
  }
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(complete));
  posting_ -= std::min(posting_, complete);
}

uint32_t SendQueue::DropWaiting() {
  ring_.DropWaiting();
  uint32_t dropped = held_.empty() ? 0 : 1;
  held_ = {};
  held_owner_.reset();
  while (!pieces_.empty() && pieces_.back().begin >= posted_) {
    dropped += pieces_.back().untold;
    if (pieces_.back().data != nullptr) in_place_--;
    pieces_.pop_back();
  }
  uint32_t lost = dropped;
  if (!pieces_.empty()) {
    Piece& last = pieces_.back();
    if (last.data != nullptr && last.end > posted_) lost += last.untold;
    last.end = std::min(last.end, posted_);
    last.untold += dropped;
  } else {
    ended_ += dropped;
  }
  written_ = posted_;
  posting_ = std::min(posting_, pieces_.size());
  PopComplete();
  return lost;
}

uint32_t SendQueue::TakeEnded() {
  return std::exchange(ended_, 0);
}

void SendQueue::EndAll() {
  for (Piece& piece : pieces_) ended_ += std::exchange(piece.untold, 0);
}

}  // namespace rdma_net::stream
