// The launcher is the program itself, as in the server: before main() of the tests gets to see the arguments.
#include "functions/launcher.h"

#include <string_view>
#include <unistd.h>
#include <vector>

namespace {

[[gnu::constructor]] void be_launcher(int argc, char** argv) {
  if (argc > 1 && argv[1] == iotcore::functions::kLauncherCommand) {
    const std::vector<std::string_view> arguments(argv + 2, argv + argc);
    ::_exit(iotcore::functions::run_launcher(arguments));
  }
}

}  // namespace
