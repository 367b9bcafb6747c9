#include <cstdlib>
#include <string>

#include "tap.h"

/// native-tests [PART OF A NAME]: runs the tests whose names contain it, or all.
int main(int argc, char** argv) {
  return tap::RunAll(argc > 1 ? argv[1] : "") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
