// Makes TCP sockets of an unmodified program sockets of the SMC family, where the kernel carries
// the same stream over RDMA if both sides can, and over TCP if not. Loaded with LD_PRELOAD.
//
// SMC begins as TCP does, with the same addresses and the same options, so that nothing else of the
// program has to be changed. Its protocol number is what tells IPv4 from IPv6.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

enum { kProtocolOverIpv4 = 0, kProtocolOverIpv6 = 1 };

typedef int (*SocketFunction)(int domain, int type, int protocol);

static SocketFunction OriginalSocket(void) {
  static SocketFunction original = NULL;
  // Threads may both look it up, and find the same.
  if (original == NULL) *(void**)&original = dlsym(RTLD_NEXT, "socket");
  return original;
}

int socket(int domain, int type, int protocol) {
  const SocketFunction original = OriginalSocket();
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const int is_internet = domain == AF_INET || domain == AF_INET6;
  const int is_tcp = kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
  if (!is_internet || !is_tcp) return original(domain, type, protocol);
  const int saved_errno = errno;
  const int descriptor =
      original(AF_SMC, type, domain == AF_INET ? kProtocolOverIpv4 : kProtocolOverIpv6);
  if (descriptor >= 0 || errno != EAFNOSUPPORT) return descriptor;
  // A kernel without SMC.
  errno = saved_errno;
  return original(domain, type, protocol);
}
