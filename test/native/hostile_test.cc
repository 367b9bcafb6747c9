#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hostile_stand.h"
#include "local_host.h"
#include "raw_peer.h"
#include "seeds.h"
#include "tap.h"

/// Peers of the fabric of one host that break its rules: their link ends, and nothing else does.
namespace {

using namespace rdma_net;
using local::Greeting;
using local::MessageHeader;
using local::MessageKind;
using simulation::HostileStand;
using simulation::RawPeer;
using File = rdma_net::system::FileDescriptor;

constexpr uint32_t kRounds = 50;
constexpr auto kNoKind = static_cast<MessageKind>(0);

struct Misdeed {
  std::string name;
  std::function<void(RawPeer&, HostileStand&)> commit;
};

/// Where a peer has receive memory, as far as the other side can tell.
uint64_t Buffers(const RawPeer& peer) {
  return peer.greeting().address + local::InboxLayout::kArenaOffset;
}

void Check(tap::Test& t, const std::string& what, const std::string& wrong) {
  if (!wrong.empty()) t.Check(false, (what + ": " + wrong).c_str(), __FILE__, __LINE__);
}

/// Runs what one peer does to a program; `opened` greets first.
std::string Try(const Misdeed& misdeed, bool opened) {
  const size_t files = simulation::OpenFiles();
  std::string wrong;
  {
    HostileStand stand(1);
    stand.Run(5);
    RawPeer peer(stand.name());
    if (opened) {
      peer.Greet();
      stand.Run(3);
      if (!peer.TakeGreeting()) return "the peer was not greeted";
    }
    misdeed.commit(peer, stand);
    stand.Run(kRounds);
    if (!peer.ended()) wrong = "the link was not ended";
    if (wrong.empty()) wrong = stand.Finish();
  }
  if (wrong.empty() && simulation::OpenFiles() != files) wrong = "a descriptor is left open";
  return wrong;
}

/// Has a connection made; returns the number of the other side's end.
uint32_t Connect(RawPeer& peer, HostileStand& stand) {
  peer.Put(MessageKind::kConnect, 0, 5, stand.Request(Buffers(peer)));
  stand.Run(5);
  const MessageHeader answer = peer.Take();
  return answer.kind == MessageKind::kAccept && answer.to == 5 ? answer.value : 99;
}

File Memory(size_t bytes, unsigned int flags, int seals) {
  File file(memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return {};
  fcntl(file.get(), F_ADD_SEALS, seals);
  return file;
}

/// A greeting with other memory than it should be.
Misdeed OtherMemory(const std::string& name, size_t bytes, unsigned int flags, int seals) {
  return {name, [=](RawPeer& peer, HostileStand&) {
            const File memory = Memory(bytes, flags, seals);
            // Without huge pages there is no such memory, and then nobody can send it.
            if (!memory.valid()) return peer.End();
            peer.Send(peer.greeting(), {memory.get(), peer.inbox().doorbell()});
          }};
}

Misdeed OtherGreeting(const std::string& name, const std::function<void(Greeting&)>& change) {
  return {name, [=](RawPeer& peer, HostileStand&) {
            Greeting greeting = peer.greeting();
            change(greeting);
            peer.Send(greeting, {peer.inbox().file(), peer.inbox().doorbell()});
          }};
}

Misdeed OtherFiles(const std::string& name, size_t count) {
  return {name, [=](RawPeer& peer, HostileStand&) {
            peer.Send(peer.greeting(), std::vector<int>(count, peer.inbox().file()));
          }};
}

std::vector<Misdeed> WrongGreetings() {
  constexpr size_t kBytes = local::InboxLayout::kBytes;
  return {
      OtherGreeting("other magic", [](Greeting& greeting) { greeting.magic[0] = 'R'; }),
      OtherGreeting("other version", [](Greeting& greeting) { greeting.version++; }),
      OtherGreeting("no cells", [](Greeting& greeting) { greeting.cells = 0; }),
      OtherGreeting("more cells", [](Greeting& greeting) { greeting.cells *= 2; }),
      OtherGreeting("other size", [](Greeting& greeting) { greeting.memory_bytes *= 2; }),
      OtherMemory("unsealed memory", kBytes, 0, 0),
      OtherMemory("memory sealed against growing alone", kBytes, 0, F_SEAL_GROW),
      OtherMemory("memory that is too small", kBytes / 2, 0, F_SEAL_SHRINK),
      OtherMemory("memory that is too large", kBytes * 2, 0, F_SEAL_SHRINK),
      OtherMemory("memory that cannot be written", kBytes, 0, F_SEAL_SHRINK | F_SEAL_WRITE),
      OtherMemory("huge pages that are not there", kBytes, MFD_HUGETLB, F_SEAL_SHRINK),
      OtherFiles("no descriptor", 0),
      OtherFiles("one descriptor", 1),
      OtherFiles("three descriptors", 3),
      OtherFiles("twenty descriptors", 20),
      {"a pipe for memory",
       [](RawPeer& peer, HostileStand&) {
         std::array<int, 2> ends{};
         if (pipe(ends.data()) != 0) return;
         peer.Send(peer.greeting(), {ends[0], ends[1]});
         for (const int end : ends) close(end);
       }},
      {"a pipe for a doorbell",
       [](RawPeer& peer, HostileStand&) {
         std::array<int, 2> ends{};
         if (pipe(ends.data()) != 0) return;
         peer.Send(peer.greeting(), {peer.inbox().file(), ends[1]});
         for (const int end : ends) close(end);
       }},
      {"a few bytes",
       [](RawPeer& peer, HostileStand&) {
         peer.Send(std::as_bytes(std::span("rdma")), {peer.inbox().file(), peer.inbox().file()});
       }},
      {"too many bytes",
       [](RawPeer& peer, HostileStand&) {
         peer.Send(std::vector<std::byte>(500), {peer.inbox().file(), peer.inbox().doorbell()});
       }},
      {"nothing, and the end", [](RawPeer& peer, HostileStand&) { peer.End(); }},
  };
}

/// A message that is not to be sent to an end that is open.
Misdeed Message(const std::string& name, const MessageHeader& header) {
  return {name, [=](RawPeer& peer, HostileStand&) { peer.Put(header); }};
}

/// A message to an end that exists.
Misdeed Twice(const std::string& name, MessageKind kind, uint32_t times) {
  return {name, [=](RawPeer& peer, HostileStand& stand) {
            const uint32_t number = Connect(peer, stand);
            for (uint32_t n = 0; n < times; n++) peer.Put(kind, number, 1);
          }};
}

Misdeed Tail(const std::string& name, uint32_t tail) {
  return {name, [=](RawPeer& peer, HostileStand&) {
            peer.control()->tail.store(tail);
            peer.Ring();
          }};
}

std::vector<Misdeed> BrokenRules() {
  std::vector<Misdeed> misdeeds = {
      {"a second greeting", [](RawPeer& peer, HostileStand&) { peer.Greet(); }},
      Tail("a tail that is far ahead", 1U << 20),
      Tail("a tail one beyond the queue", local::InboxLayout::kCells + 1),
      Tail("a tail that goes back", 0xffffffffU),
      Message("no cells", {.kind = MessageKind::kEnd, .cells = 0}),
      Message("more cells than there are", {.kind = MessageKind::kEnd, .cells = 2}),
      Message("more cells than a message has", {.kind = MessageKind::kEnd, .cells = 0xffff}),
      Message("more bytes than there are",
              {.kind = MessageKind::kConnect, .cells = 1, .length = 0xffffffffU}),
      Message("a request without addresses", {.kind = MessageKind::kConnect, .cells = 1}),
      {"a request of other kinds of address",
       [](RawPeer& peer, HostileStand& stand) {
         std::vector<std::byte> request = stand.Request(Buffers(peer));
         request[0] = std::byte{AF_UNIX};
         peer.Put(MessageKind::kConnect, 0, 5, request);
       }},
      {"a request of two kinds of address",
       [](RawPeer& peer, HostileStand& stand) {
         peer.Put(MessageKind::kConnect, 0, 5, stand.Request(Buffers(peer), "::1"));
       }},
      Twice("established twice", MessageKind::kEstablished, 2),
      Twice("an end twice", MessageKind::kEnd, 2),
      Twice("accepted what it asked for", MessageKind::kAccept, 1),
      Twice("rejected what it asked for", MessageKind::kReject, 1),
      {"data after the end",
       [](RawPeer& peer, HostileStand& stand) {
         const uint32_t number = Connect(peer, stand);
         peer.Put(MessageKind::kEnd, number, 0);
         peer.Put(MessageKind::kData, number, 0);
       }},
  };
  for (uint32_t kind : {0, 7, 8, 0xffff}) {
    misdeeds.push_back(Message("kind " + std::to_string(kind),
                               {.kind = static_cast<MessageKind>(kind), .cells = 1}));
  }
  for (const MessageKind kind :
       {MessageKind::kAccept, MessageKind::kReject, MessageKind::kEstablished, MessageKind::kData,
        MessageKind::kEnd}) {
    for (const uint32_t to : {0U, 1U, 0xffffffffU}) {
      misdeeds.push_back(Message("kind " + std::to_string(static_cast<uint32_t>(kind)) + " to " +
                                     std::to_string(to) + ", which is nobody",
                                 {.kind = kind, .cells = 1, .to = to}));
    }
  }
  return misdeeds;
}

TEST("local, hostile: a peer whose greeting is wrong has its link ended, and no other") {
  for (const Misdeed& misdeed : WrongGreetings()) Check(t, misdeed.name, Try(misdeed, false));
}

TEST("local, hostile: a peer that breaks a rule has its link ended, and no other") {
  for (const Misdeed& misdeed : BrokenRules()) Check(t, misdeed.name, Try(misdeed, true));
}

TEST("local, hostile: memory cannot be taken from under the other side") {
  HostileStand stand(1);
  RawPeer peer(stand.name());
  peer.Greet();
  stand.Run(3);
  CHECK(peer.TakeGreeting());
  CHECK(ftruncate(peer.their_file(), 0) != 0);
  CHECK(ftruncate(peer.their_file(), static_cast<off_t>(local::InboxLayout::kBytes * 2)) != 0);
  CHECK(fcntl(peer.their_file(), F_ADD_SEALS, F_SEAL_WRITE) != 0);
  Check(t, "afterwards", stand.Finish());
}

TEST("local, hostile: a doorbell that cannot be rung holds nobody up") {
  HostileStand stand(1);
  RawPeer peer(stand.name());
  // Its counter is full, and whoever adds to it waits.
  const File doorbell(eventfd(0, EFD_CLOEXEC));
  eventfd_write(doorbell.get(), 0xfffffffffffffffeU);
  peer.control_of_own()->sleeping.store(1);
  peer.Send(peer.greeting(), {peer.inbox().file(), doorbell.get()});
  stand.Run(3);
  CHECK(peer.TakeGreeting());
  peer.Put(MessageKind::kConnect, 0, 5, stand.Request(Buffers(peer)));
  Check(t, "afterwards", (stand.Run(5), peer.End(), stand.Finish()));
}

TEST("local, hostile: a request in the name of another host is rejected") {
  HostileStand stand(1);
  RawPeer peer(stand.name());
  peer.Greet();
  stand.Run(3);
  CHECK(peer.TakeGreeting());
  for (const char* from : {"8.8.8.8", "192.0.2.1", "255.255.255.255", "224.0.0.1"}) {
    peer.Put(MessageKind::kConnect, 0, 5, stand.Request(Buffers(peer), from));
    stand.Run(3);
    const MessageHeader answer = peer.Take();
    CHECK(answer.kind == MessageKind::kReject && answer.to == 5);
  }
  CHECK(stand.connections() == 0);
  CHECK(!peer.ended());
  Check(t, "afterwards", stand.Finish());
}

TEST("local, hostile: nothing is written outside of the memory that a peer may announce") {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{4096}, uint64_t{1} << 40U}) {
    HostileStand stand(1);
    RawPeer peer(stand.name());
    peer.Greet();
    stand.Run(3);
    CHECK(peer.TakeGreeting());
    peer.Put(MessageKind::kConnect, 0, 5, stand.Request(peer.greeting().address + offset));
    stand.Run(3);
    const uint32_t number = peer.Take().value;
    CHECK(stand.connections() == 1);
    peer.Put(MessageKind::kEstablished, number, 0);
    // It has the program echo to where its buffer is said to be.
    peer.Put({.kind = MessageKind::kData, .cells = 1, .to = number, .value = 10, .length = 10});
    stand.Run(kRounds);
    MessageHeader last = peer.Take();
    bool data = false;
    for (MessageHeader next = last; next.kind != kNoKind; next = peer.Take()) {
      data |= next.kind == MessageKind::kData && next.length > 0;
      last = next;
    }
    CHECK(!data);
    CHECK(last.kind == MessageKind::kEnd);
    peer.Put(MessageKind::kEnd, number, 0);
    stand.Run(kRounds);
    CHECK(!peer.ended());
    Check(t, std::to_string(offset), stand.Finish());
  }
}

/// One random act of a peer that has been greeted.
void Misbehave(RawPeer& peer, HostileStand& stand, simulation::Random& random) {
  const auto below = [&random](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  local::QueueControl* control = peer.control();
  const auto any = static_cast<uint32_t>(random());
  switch (below(24)) {
    case 0:
      return control->tail.store(below(2) == 0 ? any : control->tail.load() + below(5000));
    case 1:
      return control->head.store(any);
    case 2:
      return control->sleeping.store(any);
    case 3:
      return control->wants_room.store(any);
    case 4: {
      std::vector<std::byte> payload(below(260));
      for (std::byte& byte : payload) byte = static_cast<std::byte>(random());
      return peer.Put({.kind = static_cast<MessageKind>(below(9)),
                       .cells = below(8) == 0 ? any : below(20),
                       .to = below(4),
                       .value = any,
                       .length = below(300)},
                      payload);
    }
    case 5:
      return peer.Ring();
    case 6:
    case 7:
    case 8:
      return peer.Put(MessageKind::kConnect, below(3), below(6), stand.Request(Buffers(peer)));
    case 9:
      return peer.Put(MessageKind::kConnect, 0, 0, stand.Request(any));
    case 10:
      return peer.Put(MessageKind::kEnd, below(4), any);
    case 11:
    case 12:
      return peer.Put(MessageKind::kEstablished, below(4), any);
    case 13:
      peer.Take();
      return;
    default:
      return peer.Put({.kind = MessageKind::kData,
                       .cells = 1,
                       .to = below(4),
                       .value = below(4) == 0 ? any : below(2000),
                       .length = below(4) == 0 ? any : below(2000)});
  }
}

TEST("local, hostile: whatever a peer writes, and whenever it ends, nobody else is harmed") {
  seeds::Run(t, 5, [](uint64_t seed) -> std::string {
    simulation::Random random(seed);
    const size_t files = simulation::OpenFiles();
    std::string wrong;
    {
      HostileStand stand(seed);
      stand.Run(static_cast<uint32_t>(random() % 10));
      RawPeer peer(stand.name());
      peer.Greet();
      stand.Run(3);
      if (!peer.TakeGreeting()) return "the peer was not greeted";
      for (uint64_t acts = random() % 100; acts > 0 && !peer.ended(); acts--) {
        Misbehave(peer, stand, random);
        if (random() % 2 == 0) stand.Run(1);
      }
      peer.End();
      wrong = stand.Finish();
    }
    if (wrong.empty() && simulation::OpenFiles() != files) wrong = "a descriptor is left open";
    return wrong;
  });
}

}  // namespace
