// Says to the kernel's SMC what it needs to use an RDMA device, and what it has done so far:
//
//   smc-control join INTERFACE DEVICE   INTERFACE's TCP and DEVICE's RDMA are on one network
//   smc-control show                    what has gone over SMC-R, and what has gone back to TCP
//
// `show` prints one line of JSON.

#include <errno.h>
#include <inttypes.h>
#include <linux/smc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

// All hosts with the same names of both belong together. Software RDMA needs the second: it has no
// addresses of RoCE v1, and version 2 of SMC-R lets those only talk who have such a name in common.
static const char kPhysicalNetwork[] = "LAB";
static const char kEnterprise[] = "RDMA-NET.LAB                    ";

_Static_assert(sizeof(kEnterprise) - 1 == SMC_MAX_EID_LEN, "padded with spaces to its length");

static void Fail(const char* what) {
  fprintf(stderr, "smc-control: %s: %s\n", what, strerror(errno));
  exit(1);
}

/// Opening a socket has the kernel load its module.
static void LoadModule(void) {
  const int descriptor = socket(AF_SMC, SOCK_STREAM, 0);
  if (descriptor < 0) Fail("the kernel has no SMC");
  close(descriptor);
}

static struct Family Open(const char* name) {
  struct Family family;
  if (OpenFamily(name, &family) != 0) Fail(name);
  return family;
}

static void Join(const char* interface, const char* device) {
  LoadModule();
  struct Request request;
  const struct Family networks = Open(SMCR_GENL_FAMILY_NAME);
  BeginRequest(&request, networks, SMC_PNETID_ADD);
  AddText(&request, SMC_PNETID_NAME, kPhysicalNetwork);
  AddText(&request, SMC_PNETID_ETHNAME, interface);
  AddText(&request, SMC_PNETID_IBNAME, device);
  AddByte(&request, SMC_PNETID_IBPORT, 1);
  if (Perform(networks, &request) != 0 && errno != EEXIST) Fail("the physical network");
  const struct Family settings = Open(SMC_GENL_FAMILY_NAME);
  BeginRequest(&request, settings, SMC_NETLINK_ADD_UEID);
  AddText(&request, SMC_NLA_EID_TABLE_ENTRY, kEnterprise);
  if (Perform(settings, &request) != 0 && errno != EEXIST) Fail("the enterprise's name");
}

static void ShowStatistics(struct Attributes attributes, void* context) {
  (void)context;
  const struct Attributes all = Inside(attributes, SMC_GEN_STATS);
  const struct Attributes smcr = Inside(all, SMC_NLA_STATS_SMCR_TECH);
  const uint64_t client =
      NumberOf(smcr, SMC_NLA_STATS_T_CLNT_V1_SUCC) + NumberOf(smcr, SMC_NLA_STATS_T_CLNT_V2_SUCC);
  const uint64_t server =
      NumberOf(smcr, SMC_NLA_STATS_T_SRV_V1_SUCC) + NumberOf(smcr, SMC_NLA_STATS_T_SRV_V2_SUCC);
  printf("\"connections\":{\"client\":%" PRIu64 ",\"server\":%" PRIu64 "},", client, server);
  printf("\"bytesSent\":%" PRIu64 ",\"bytesReceived\":%" PRIu64 ",",
         NumberOf(smcr, SMC_NLA_STATS_T_TX_BYTES), NumberOf(smcr, SMC_NLA_STATS_T_RX_BYTES));
}

/// Begins another entry of a list.
static void Separate(void* context) {
  int* const count = context;
  if ((*count)++ > 0) putchar(',');
}

static void ShowFallback(struct Attributes attributes, void* context) {
  const struct Attributes fallback = Inside(attributes, SMC_GEN_FBACK_STATS);
  const uint64_t count = NumberOf(fallback, SMC_NLA_FBACK_STATS_RSN_CNT);
  if (count == 0) return;
  Separate(context);
  const char* side = NumberOf(fallback, SMC_NLA_FBACK_STATS_TYPE) == 0 ? "client" : "server";
  printf("{\"side\":\"%s\",\"reason\":\"0x%08" PRIx64 "\",\"count\":%" PRIu64 "}", side,
         NumberOf(fallback, SMC_NLA_FBACK_STATS_RSN_CODE), count);
}

static void ShowLink(struct Attributes attributes, void* context) {
  const struct Attributes link = Inside(attributes, SMC_GEN_LINK_SMCR);
  // The group of links is listed before its links.
  if (TextOf(link, SMC_NLA_LINK_IB_DEV)[0] == '\0') return;
  Separate(context);
  printf("{\"device\":\"%s\",\"address\":\"%s\",\"peerAddress\":\"%s\",\"connections\":%" PRIu64
         "}",
         TextOf(link, SMC_NLA_LINK_IB_DEV), TextOf(link, SMC_NLA_LINK_GID),
         TextOf(link, SMC_NLA_LINK_PEER_GID), NumberOf(link, SMC_NLA_LINK_CONN_CNT));
}

static void ShowList(struct Family family, const char* name, uint8_t command, OnAnswer on_answer) {
  int count = 0;
  printf("\"%s\":[", name);
  if (List(family, command, on_answer, &count) != 0) Fail(name);
  putchar(']');
}

static void Show(void) {
  LoadModule();
  const struct Family family = Open(SMC_GENL_FAMILY_NAME);
  putchar('{');
  if (List(family, SMC_NETLINK_GET_STATS, ShowStatistics, NULL) != 0) Fail("statistics");
  ShowList(family, "fallbacks", SMC_NETLINK_GET_FBACK_STATS, ShowFallback);
  putchar(',');
  ShowList(family, "links", SMC_NETLINK_GET_LINK_SMCR, ShowLink);
  puts("}");
}

int main(int count, char** arguments) {
  if (count == 4 && strcmp(arguments[1], "join") == 0) {
    Join(arguments[2], arguments[3]);
  } else if (count == 2 && strcmp(arguments[1], "show") == 0) {
    Show();
  } else {
    fputs("smc-control join INTERFACE DEVICE | show\n", stderr);
    return 2;
  }
  return 0;
}
