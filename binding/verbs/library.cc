#include "verbs/library.h"

#include <dlfcn.h>

#include <memory>
#include <mutex>

namespace rdma_net::verbs {

namespace {

using fabric::Status;

struct Opened {
  Library library{};
  Status status = Status::kOk;
  std::string text;
};

class Loader {
 public:
  explicit Loader(Opened* opened) : opened_(opened) {}

  void Use(const char* name) {
    name_ = name;
    handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) Fail(Status::kLibraryMissing, dlerror());
  }

  template <typename Function>
  void Find(Function* function, const char* symbol) {
    if (handle_ == nullptr) return;
    *function = reinterpret_cast<Function>(dlsym(handle_, symbol));
    if (*function == nullptr) {
      Fail(Status::kLibraryTooOld, std::string(name_) + " has no function " + symbol);
    }
  }

 private:
  void Fail(Status status, std::string text) {
    if (opened_->status != Status::kOk) return;
    opened_->status = status;
    opened_->text = std::move(text);
  }

  Opened* opened_;
  const char* name_ = "";
  void* handle_ = nullptr;
};

void FindConnectionManager(Loader* loader, Library* library) {
  loader->Use("librdmacm.so.1");
  loader->Find(&library->create_event_channel, "rdma_create_event_channel");
  loader->Find(&library->destroy_event_channel, "rdma_destroy_event_channel");
  loader->Find(&library->get_cm_event, "rdma_get_cm_event");
  loader->Find(&library->ack_cm_event, "rdma_ack_cm_event");
  loader->Find(&library->create_id, "rdma_create_id");
  loader->Find(&library->destroy_id, "rdma_destroy_id");
  loader->Find(&library->bind_addr, "rdma_bind_addr");
  loader->Find(&library->resolve_addr, "rdma_resolve_addr");
  loader->Find(&library->resolve_route, "rdma_resolve_route");
  loader->Find(&library->connect, "rdma_connect");
  loader->Find(&library->establish, "rdma_establish");
  loader->Find(&library->listen, "rdma_listen");
  loader->Find(&library->accept, "rdma_accept");
  loader->Find(&library->reject, "rdma_reject");
  loader->Find(&library->disconnect, "rdma_disconnect");
  loader->Find(&library->init_qp_attr, "rdma_init_qp_attr");
  loader->Find(&library->get_devices, "rdma_get_devices");
  loader->Find(&library->free_devices, "rdma_free_devices");
  loader->Find(&library->set_option, "rdma_set_option");
}

void FindVerbs(Loader* loader, Library* library) {
  loader->Use("libibverbs.so.1");
  loader->Find(&library->fork_init, "ibv_fork_init");
  loader->Find(&library->get_device_name, "ibv_get_device_name");
  loader->Find(&library->query_device, "ibv_query_device");
  loader->Find(&library->get_async_event, "ibv_get_async_event");
  loader->Find(&library->ack_async_event, "ibv_ack_async_event");
  loader->Find(&library->alloc_pd, "ibv_alloc_pd");
  loader->Find(&library->dealloc_pd, "ibv_dealloc_pd");
  loader->Find(&library->reg_mr, "ibv_reg_mr");
  loader->Find(&library->dereg_mr, "ibv_dereg_mr");
  loader->Find(&library->create_comp_channel, "ibv_create_comp_channel");
  loader->Find(&library->destroy_comp_channel, "ibv_destroy_comp_channel");
  loader->Find(&library->create_cq, "ibv_create_cq");
  loader->Find(&library->destroy_cq, "ibv_destroy_cq");
  loader->Find(&library->get_cq_event, "ibv_get_cq_event");
  loader->Find(&library->ack_cq_events, "ibv_ack_cq_events");
  loader->Find(&library->create_srq, "ibv_create_srq");
  loader->Find(&library->destroy_srq, "ibv_destroy_srq");
  loader->Find(&library->create_qp, "ibv_create_qp");
  loader->Find(&library->modify_qp, "ibv_modify_qp");
  loader->Find(&library->destroy_qp, "ibv_destroy_qp");
}

}  // namespace

const Library* Library::Open(Status* status, std::string* text) {
  static std::mutex mutex;
  static Opened* opened = nullptr;
  const std::lock_guard lock(mutex);
  if (opened == nullptr || opened->status != Status::kOk) {
    auto attempt = std::make_unique<Opened>();
    Loader loader(attempt.get());
    FindConnectionManager(&loader, &attempt->library);
    FindVerbs(&loader, &attempt->library);
    // Node spawns children: registered pages must not be torn from us by copy-on-write. It has to
    // be called before any other verb, and is free where the kernel takes care of it.
    if (attempt->status == Status::kOk) attempt->library.fork_init();
    *status = attempt->status;
    *text = attempt->text;
    if (attempt->status != Status::kOk) return nullptr;
    opened = attempt.release();
  }
  *status = Status::kOk;
  text->clear();
  return &opened->library;
}

}  // namespace rdma_net::verbs
