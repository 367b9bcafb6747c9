#include "netlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kAnswerBytesMax = 65536 };

static struct nlmsghdr* HeaderOf(struct Request* request) {
  return (struct nlmsghdr*)(void*)request->bytes;
}

static void AddAttribute(struct Request* request, uint16_t type, const void* data, size_t bytes) {
  struct nlmsghdr* header = HeaderOf(request);
  const size_t offset = NLMSG_ALIGN(header->nlmsg_len);
  struct nlattr* attribute = (struct nlattr*)(void*)(request->bytes + offset);
  attribute->nla_type = type;
  attribute->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
  memcpy(request->bytes + offset + NLA_HDRLEN, data, bytes);
  header->nlmsg_len = (uint32_t)(offset + NLA_ALIGN(attribute->nla_len));
}

void BeginRequest(struct Request* request, struct Family family, uint8_t command) {
  memset(request, 0, sizeof(*request));
  struct nlmsghdr* header = HeaderOf(request);
  header->nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
  header->nlmsg_type = family.id;
  struct genlmsghdr* generic = NLMSG_DATA(header);
  generic->cmd = command;
  generic->version = kFamilyVersion;
}

void AddText(struct Request* request, uint16_t type, const char* text) {
  AddAttribute(request, type, text, strlen(text) + 1);
}

void AddByte(struct Request* request, uint16_t type, uint8_t value) {
  AddAttribute(request, type, &value, sizeof(value));
}

/// Sends a request, and calls back for what comes until the kernel says that it is all.
static int Exchange(struct Family family, struct Request* request, uint16_t flags,
                    OnAnswer on_answer, void* context) {
  static char answer[kAnswerBytesMax];
  struct nlmsghdr* header = HeaderOf(request);
  header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
  if (send(family.descriptor, request->bytes, header->nlmsg_len, 0) < 0) return -1;
  for (;;) {
    const ssize_t received = recv(family.descriptor, answer, sizeof(answer), 0);
    if (received < 0) return -1;
    unsigned int left = (unsigned int)received;
    struct nlmsghdr* message = (struct nlmsghdr*)(void*)answer;
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return 0;
      if (message->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr* error = NLMSG_DATA(message);
        if (error->error == 0) return 0;
        errno = -error->error;
        return -1;
      }
      if (on_answer == NULL) continue;
      const struct Attributes attributes = {(const char*)NLMSG_DATA(message) + GENL_HDRLEN,
                                            (int)(message->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN))};
      on_answer(attributes, context);
    }
  }
}

int Perform(struct Family family, struct Request* request) {
  return Exchange(family, request, NLM_F_ACK, NULL, NULL);
}

int List(struct Family family, uint8_t command, OnAnswer on_answer, void* context) {
  struct Request request;
  BeginRequest(&request, family, command);
  return Exchange(family, &request, NLM_F_DUMP, on_answer, context);
}

static void SaveId(struct Attributes attributes, void* context) {
  *(uint16_t*)context = (uint16_t)NumberOf(attributes, CTRL_ATTR_FAMILY_ID);
}

int OpenFamily(const char* name, struct Family* family) {
  const int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (descriptor < 0) return -1;
  const struct Family control = {descriptor, GENL_ID_CTRL};
  struct Request request;
  BeginRequest(&request, control, CTRL_CMD_GETFAMILY);
  AddText(&request, CTRL_ATTR_FAMILY_NAME, name);
  *family = (struct Family){descriptor, 0};
  if (Exchange(control, &request, NLM_F_ACK, SaveId, &family->id) == 0) return 0;
  close(descriptor);
  return -1;
}

const struct nlattr* Find(struct Attributes attributes, int type) {
  int offset = 0;
  while (offset + NLA_HDRLEN <= attributes.bytes) {
    const struct nlattr* attribute = (const void*)(attributes.data + offset);
    if (attribute->nla_len < NLA_HDRLEN) return NULL;
    if ((attribute->nla_type & NLA_TYPE_MASK) == type) return attribute;
    offset += NLA_ALIGN(attribute->nla_len);
  }
  return NULL;
}

struct Attributes Inside(struct Attributes attributes, int type) {
  const struct nlattr* attribute = Find(attributes, type);
  if (attribute == NULL) return (struct Attributes){NULL, 0};
  return (struct Attributes){(const char*)attribute + NLA_HDRLEN, attribute->nla_len - NLA_HDRLEN};
}

uint64_t NumberOf(struct Attributes attributes, int type) {
  const struct Attributes inside = Inside(attributes, type);
  uint64_t number = 0;
  // Numbers have the order of this processor, which is little-endian wherever the lab runs.
  if (inside.bytes > 0 && inside.bytes <= (int)sizeof(number)) {
    memcpy(&number, inside.data, (size_t)inside.bytes);
  }
  return number;
}

const char* TextOf(struct Attributes attributes, int type) {
  const struct Attributes inside = Inside(attributes, type);
  return inside.bytes > 0 ? inside.data : "";
}
