/*
 * A program in C over rsockets, the sockets of rdma-core, that talks to a Node program with rdma-net:
 * see rsockets-peer.js. It needs an RDMA device, and the headers (Debian: librdmacm-dev).
 *
 *   cc -O2 -Wall -o rsockets-peer rsockets-peer.c -lrdmacm
 *   ./rsockets-peer serve 192.0.2.10 7471
 *   ./rsockets-peer call 192.0.2.10 7471
 *
 * Each call is that of sockets with an `r` in front of its name.
 */

#include <netdb.h>
#include <rdma/rsocket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static struct addrinfo *resolve(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found;
  int status = getaddrinfo(host, port, &hints, &found);
  if (status == 0) return found;
  fprintf(stderr, "%s: %s\n", host, gai_strerror(status));
  exit(1);
}

/* Writes all of it: rsend() takes what there is room for, as send() does. */
static void send_all(int socket, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = rsend(socket, bytes, length, 0);
    if (sent < 0) fail("rsend");
    bytes += sent;
    length -= (size_t)sent;
  }
}

/* Answers one client after the other with what it sends, until it sends no more. */
static void serve(const struct addrinfo *where) {
  int listener = rsocket(where->ai_family, SOCK_STREAM, 0);
  if (listener < 0) fail("rsocket");
  if (rbind(listener, where->ai_addr, where->ai_addrlen) != 0) fail("rbind");
  if (rlisten(listener, 8) != 0) fail("rlisten");
  printf("listening\n");
  for (;;) {
    char buffer[16384];
    size_t total = 0;
    ssize_t received;
    int client = raccept(listener, NULL, NULL);
    if (client < 0) fail("raccept");
    while ((received = rrecv(client, buffer, sizeof(buffer), 0)) > 0) {
      send_all(client, buffer, (size_t)received);
      total += (size_t)received;
    }
    if (received < 0) perror("rrecv");
    printf("%zu bytes from a client\n", total);
    rshutdown(client, SHUT_RDWR);
    rclose(client);
  }
}

/* Sends a line, and prints what comes back. */
static void call(const struct addrinfo *where) {
  static const char text[] = "Hello from C\n";
  char buffer[256];
  ssize_t received;
  int server = rsocket(where->ai_family, SOCK_STREAM, 0);
  if (server < 0) fail("rsocket");
  if (rconnect(server, where->ai_addr, where->ai_addrlen) != 0) fail("rconnect");
  send_all(server, text, strlen(text));
  rshutdown(server, SHUT_WR);
  while ((received = rrecv(server, buffer, sizeof(buffer), 0)) > 0) {
    fwrite(buffer, 1, (size_t)received, stdout);
  }
  if (received < 0) fail("rrecv");
  rclose(server);
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: %s serve|call HOST PORT\n", arguments[0]);
    return 2;
  }
  /* Each line is to be seen at once, through a pipe too. */
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct addrinfo *where = resolve(arguments[2], arguments[3]);
  if (strcmp(arguments[1], "serve") == 0) serve(where);
  else call(where);
  freeaddrinfo(where);
  return 0;
}
