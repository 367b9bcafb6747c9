#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/// hostile connect|listen SCENARIO ADDRESS PORT
///
/// Who connects goes on when a line comes to the standard input: a connection that breaks before
/// the other side has heard that it is established is none to its program.

static const struct Scenario* Find(const char* name) {
  const struct Scenario* const lists[] = {connect_data_scenarios, violation_scenarios,
                                          memory_scenarios, behind_scenarios, legal_scenarios};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (const struct Scenario* scenario = lists[i]; scenario->name != NULL; scenario++) {
      if (strcmp(scenario->name, name) == 0) return scenario;
    }
  }
  return NULL;
}

int main(int count, char** arguments) {
  const struct Scenario* scenario = count == 5 ? Find(arguments[2]) : NULL;
  if (scenario == NULL) {
    fprintf(stderr, "hostile connect|listen SCENARIO ADDRESS PORT\n");
    return 2;
  }
  static struct Peer peer = {.options = {.entries = 2}};
  if (scenario->prepare != NULL) scenario->prepare(&peer.options);
  const bool connects = strcmp(arguments[1], "connect") == 0;
  const bool connected = connects ? Connect(&peer, arguments[3], arguments[4])
                                  : Accept(&peer, arguments[3], arguments[4]);
  if (!connected || (connects && !ReadLine())) return 0;
  scenario->play(&peer);
  UntilGone(&peer);
  return 0;
}
