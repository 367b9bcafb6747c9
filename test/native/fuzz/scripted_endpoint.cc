#include "scripted_endpoint.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "input.h"

namespace fuzz {

using fabric::Failure;
using fabric::Segment;
using fabric::Status;
using stream::wire::ConnectData;
using stream::wire::kBufferEntryBytes;
using stream::wire::Operation;
using stream::wire::RemoteBuffer;
using stream::wire::Violation;

Failure ScriptedEndpoint::Introduce(std::span<const std::byte> data) {
  Require(DecodeConnectData(data, &own_) == Violation::kNone, "our connection data is valid");
  connected_ = true;
  published_.push_back(own_.first_buffer);
  return {};
}

void ScriptedEndpoint::TakePlace() {
  Require(++in_use_ <= kSendRequests, "the send queue does not overrun");
}

Failure ScriptedEndpoint::Post(const fabric::WriteRequest& request) {
  Require(!released_, "nothing is posted after the release");
  if (posts_fail_) return {.status = Status::kLocalError};
  if (quiet_) return {};
  TakePlace();
  Posted posted = {.token = request.token,
                   .places = 1 + std::exchange(exposures_posted_, 0),
                   .segments = {},
                   .revoked_key = 0};
  uint64_t bytes = 0;
  for (const Segment& segment : request.segments) {
    if (segment.bytes == 0) continue;
    bytes += segment.bytes;
    if (request.place_inline) continue;
    Require(device_->memory.Readable(segment), "what is sent is registered");
    posted.segments.push_back(segment);
  }
  Require(!request.place_inline || bytes <= inline_bytes_max(), "inline requests are short");
  if (bytes > 0) CheckTarget(request, bytes);
  NoteUpdate(request);
  posted_.push_back(std::move(posted));
  return {};
}

void ScriptedEndpoint::CheckTarget(const fabric::WriteRequest& request, uint64_t bytes) const {
  const auto holds = [&](const Range& range) {
    return request.remote_address >= range.address && bytes <= range.bytes &&
           request.remote_address - range.address <= range.bytes - bytes;
  };
  Require(std::any_of(announced_.begin(), announced_.end(), holds),
          "we write where the peer announced memory, and nowhere else");
}

void ScriptedEndpoint::NoteUpdate(const fabric::WriteRequest& request) {
  const auto message = stream::wire::DecodeImmediate(request.immediate);
  Require(message.has_value(), "we send operations that exist");
  const Segment& entry = request.segments[0];
  if (message->operation != Operation::kBufferUpdate || entry.bytes == 0) return;
  Require(entry.bytes == kBufferEntryBytes, "an update has one entry");
  // In the byte order of the peer, which the script may have chosen to be the other one.
  std::array<std::byte, kBufferEntryBytes> bytes;
  std::memcpy(bytes.data(), entry.data, bytes.size());
  RemoteBuffer buffer = stream::wire::DecodeBufferEntry(bytes);
  if (device_->memory.Remote(buffer.remote_key, buffer.address, buffer.bytes, nullptr) == nullptr) {
    buffer = {.address = __builtin_bswap64(buffer.address),
              .remote_key = __builtin_bswap32(buffer.remote_key),
              .bytes = __builtin_bswap32(buffer.bytes)};
  }
  Require(device_->memory.Remote(buffer.remote_key, buffer.address, buffer.bytes, nullptr),
          "the memory that we publish can be written to");
  published_.push_back(buffer);
}

Failure ScriptedEndpoint::Allocate(size_t bytes, fabric::Access access, fabric::Region* region) {
  Require(!released_, "nothing is allocated after the release");
  const bool remote = access == fabric::Access::kRemoteWrite;
  if (!device_->memory.Allocate(bytes, remote, nullptr, region)) {
    return {.status = Status::kPinnedLimit};
  }
  regions_.push_back(region->local_key);
  return {};
}

void ScriptedEndpoint::Free(const fabric::Region& region) {
  device_->memory.Free(region.local_key);
  std::erase(regions_, region.local_key);
}

Failure ScriptedEndpoint::Expose(fabric::Slab* slab, uint32_t* remote_key) {
  TakePlace();
  exposures_posted_++;
  *remote_key = device_->memory.Expose(slab, nullptr);
  Require(*remote_key != 0, "a slab is exposed once");
  exposed_.push_back(*remote_key);
  return {};
}

Failure ScriptedEndpoint::Revoke(fabric::Slab* slab, uint64_t token) {
  const uint32_t key = static_cast<sim::SimSlab*>(slab)->exposed_key();
  Require(std::find(exposed_.begin(), exposed_.end(), key) != exposed_.end(),
          "what is revoked was exposed");
  if (posts_fail_) return {.status = Status::kLocalError};
  if (quiet_) return {};
  TakePlace();
  posted_.push_back({.token = token,
                     .places = 1 + std::exchange(exposures_posted_, 0),
                     .segments = {},
                     .revoked_key = key});
  return {};
}

void ScriptedEndpoint::Complete() {
  if (quiet_ || posted_.empty()) return;
  const Posted posted = std::move(posted_.front());
  posted_.pop_front();
  for (const Segment& segment : posted.segments) {
    Require(device_->memory.Readable(segment), "what is sent stays registered until it is sent");
  }
  if (posted.revoked_key != 0) {
    device_->memory.Conceal(posted.revoked_key);
    std::erase(exposed_, posted.revoked_key);
  }
  in_use_ -= posted.places;
  events_->OnSent(posted.token);
}

bool ScriptedEndpoint::WriteData(uint32_t* bytes, std::byte fill) {
  if (published_.empty()) return false;
  RemoteBuffer& buffer = published_.front();
  *bytes = std::min(*bytes, buffer.bytes);
  std::byte* target =
      device_->memory.Remote(buffer.remote_key, buffer.address, buffer.bytes, nullptr);
  if (target == nullptr && claimed_) return false;
  Require(target != nullptr, "what was published stays so until it is full");
  std::memset(target, static_cast<int>(fill), *bytes);
  buffer.address += *bytes;
  buffer.bytes -= *bytes;
  if (buffer.bytes == 0) published_.pop_front();
  return true;
}

void ScriptedEndpoint::WriteAnywhere(uint32_t choice, std::byte fill) {
  if (exposed_.empty()) return;
  device_->memory.Scribble(exposed_[choice % exposed_.size()]);
  if (published_.empty()) return;
  const RemoteBuffer& buffer = published_[choice % published_.size()];
  std::byte* target =
      device_->memory.Remote(buffer.remote_key, buffer.address, buffer.bytes, nullptr);
  if (target != nullptr) std::memset(target, static_cast<int>(fill), buffer.bytes);
}

void ScriptedEndpoint::WriteSlots(size_t offset, std::span<const std::byte> bytes) {
  const size_t size = own_.sgl_entries * kBufferEntryBytes;
  std::byte* slots = device_->memory.Remote(own_.sgl_remote_key, own_.sgl_address, size, nullptr);
  Require(slots != nullptr, "the slots can be written to");
  offset %= size;
  bytes = bytes.first(std::min(bytes.size(), size - offset));
  if (!bytes.empty()) std::memcpy(slots + offset, bytes.data(), bytes.size());
  for (size_t at = 0; at < size; at += kBufferEntryBytes) {
    const RemoteBuffer buffer = stream::wire::DecodeBufferEntry(
        std::span<const std::byte, kBufferEntryBytes>(slots + at, kBufferEntryBytes));
    Announce(buffer.address, buffer.bytes);
  }
}

void ScriptedEndpoint::Abort() {
  quiet_ = true;
  posted_.clear();
}

void ScriptedEndpoint::Release() {
  Abort();
  Require(!std::exchange(released_, true), "an endpoint is released once");
}

void ScriptedEndpoint::FinishRelease() {
  for (const uint32_t key : exposed_) {
    device_->memory.Scribble(key);
    device_->memory.Conceal(key);
  }
  for (const uint32_t key : regions_) device_->memory.Free(key);
  events_->OnReleased();
}

}  // namespace fuzz
