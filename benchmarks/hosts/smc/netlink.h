// Requests to a family of generic netlink, and the attributes of its answers.

#ifndef RDMA_NET_BENCHMARKS_SMC_NETLINK_H_
#define RDMA_NET_BENCHMARKS_SMC_NETLINK_H_

#include <linux/netlink.h>
#include <stdint.h>

enum { kRequestBytesMax = 1024, kFamilyVersion = 1 };

/// A connection to one family.
struct Family {
  int descriptor;
  uint16_t id;
};

/// A request as it is put together.
struct Request {
  char bytes[kRequestBytesMax];
};

/// Some attributes, one after the other.
struct Attributes {
  const char* data;
  int bytes;
};

typedef void (*OnAnswer)(struct Attributes attributes, void* context);

/// Gives 0, or -1 with errno: ENOENT where the kernel has no such family.
int OpenFamily(const char* name, struct Family* family);

void BeginRequest(struct Request* request, struct Family family, uint8_t command);
void AddText(struct Request* request, uint16_t type, const char* text);
void AddByte(struct Request* request, uint16_t type, uint8_t value);

/// Sends a request that changes something. Gives 0, or -1 with errno.
int Perform(struct Family family, struct Request* request);

/// Calls back for each entry of a list of the kernel. Gives 0, or -1 with errno.
int List(struct Family family, uint8_t command, OnAnswer on_answer, void* context);

/// The attribute of this type, or NULL.
const struct nlattr* Find(struct Attributes attributes, int type);
/// What is inside the attribute of this type; nothing if it is absent.
struct Attributes Inside(struct Attributes attributes, int type);
/// A number of 1, 2, 4 or 8 bytes; 0 if it is absent.
uint64_t NumberOf(struct Attributes attributes, int type);
/// A text that ends with a zero; empty if it is absent.
const char* TextOf(struct Attributes attributes, int type);

#endif  // RDMA_NET_BENCHMARKS_SMC_NETLINK_H_
