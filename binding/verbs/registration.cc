#include "verbs/registration.h"

#include <algorithm>
#include <utility>

#include "verbs/mapping.h"

namespace rdma_net::verbs {

using fabric::RegistrationRef;

namespace {

/// What registering pins: every page that is touched.
uint64_t PinnedBytes(std::span<const std::byte> memory) {
  const auto offset = reinterpret_cast<uintptr_t>(memory.data()) % Mapping::PageBytes();
  return Mapping::WholePages(offset + memory.size());
}

}  // namespace

std::optional<uint32_t> OwnedRegistration::LocalKey(uint64_t device_id) const {
  if (state_ != State::kReady) return std::nullopt;
  for (const Key& key : keys_) {
    if (key.device_id == device_id) return key.local_key;
  }
  return std::nullopt;
}

void OwnedRegistration::OnUnreferenced() {
  referenced_ = false;
  if (state_ == State::kEnded) {
    delete this;
    return;
  }
  registrar_->End(this);
}

void OwnedRegistration::OnEnded() {
  state_ = State::kEnded;
  const std::function<void()> released = std::move(released_);
  if (!referenced_) delete this;
  if (released) released();
}

RegistrationRef Registrar::Register(const Library* library, std::span<const std::byte> memory,
                                    std::function<void()> released,
                                    const std::vector<RegistrationTarget>& targets) {
  library_ = library;
  auto* registration = new OwnedRegistration(this, memory, std::move(released));
  RegistrationRef reference(registration);
  registrations_.insert(registration);
  if (closed_) {
    End(registration);
    return reference;
  }
  std::vector<OwnedRegistration::Made> wanted;
  std::vector<RegistrationTarget> chosen;
  for (const RegistrationTarget& target : targets) {
    const uint64_t charged = target.on_demand ? 0 : PinnedBytes(memory);
    if (!budget_->Pin(charged).ok()) continue;
    wanted.push_back({.device_id = target.device_id, .charged_bytes = charged});
    chosen.push_back(target);
  }
  if (chosen.empty() || memory.empty()) {
    for (const auto& made : wanted) budget_->Unpin(made.charged_bytes);
    return reference;
  }
  worker_->Run([this, library, memory, registration, made = registration->made_, chosen,
                wanted]() -> Worker::Finish {
    std::vector<OwnedRegistration::Key> keys;
    for (size_t i = 0; i < chosen.size(); i++) {
      OwnedRegistration::Made each = wanted[i];
      // Only read by the device: it gets no right to write.
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
      auto* data = const_cast<std::byte*>(memory.data());
      const int access = chosen[i].on_demand ? IBV_ACCESS_ON_DEMAND : 0;
      each.region = library->reg_mr(chosen[i].pd, data, memory.size(), access);
      if (each.region == nullptr) {
        budget_->Unpin(each.charged_bytes);
        continue;
      }
      keys.push_back({.device_id = each.device_id, .local_key = each.region->lkey});
      made->push_back(each);
    }
    return [this, registration, keys] { OnMade(registration, keys); };
  });
  return reference;
}

void Registrar::OnMade(OwnedRegistration* registration, std::vector<OwnedRegistration::Key> keys) {
  // It ends with a later job, so it is still there, but may be wanted no more.
  if (registration->state_ != OwnedRegistration::State::kPending || keys.empty()) return;
  registration->state_ = OwnedRegistration::State::kReady;
  registration->keys_ = std::move(keys);
  made_++;
  ready_++;
}

void Registrar::ForgetDevice(uint64_t device_id) {
  for (OwnedRegistration* registration : registrations_) {
    std::erase_if(registration->keys_,
                  [device_id](const auto& key) { return key.device_id == device_id; });
    worker_->Run([library = library_, budget = budget_, made = registration->made_,
                  device_id]() -> Worker::Finish {
      for (OwnedRegistration::Made& each : *made) {
        if (each.device_id != device_id) continue;
        library->dereg_mr(each.region);
        budget->Unpin(each.charged_bytes);
      }
      std::erase_if(*made, [device_id](const auto& each) { return each.device_id == device_id; });
      return nullptr;
    });
  }
}

void Registrar::End(OwnedRegistration* registration) {
  using State = OwnedRegistration::State;
  if (registration->state_ == State::kEnding) return;
  if (registration->state_ == State::kReady) ready_--;
  registration->state_ = State::kEnding;
  // Without a library nothing can have been registered, and there may be no worker thread either.
  if (library_ == nullptr) {
    worker_->Defer([this, registration] { OnEnded(registration); });
    return;
  }
  worker_->Run(
      [this, registration, library = library_, made = registration->made_]() -> Worker::Finish {
        for (OwnedRegistration::Made& each : *made) {
          library->dereg_mr(each.region);
          budget_->Unpin(each.charged_bytes);
        }
        made->clear();
        return [this, registration] { OnEnded(registration); };
      });
}

void Registrar::OnEnded(OwnedRegistration* registration) {
  registrations_.erase(registration);
  registration->OnEnded();
}

void Registrar::Close() {
  closed_ = true;
  for (OwnedRegistration* registration : registrations_) End(registration);
}

}  // namespace rdma_net::verbs
