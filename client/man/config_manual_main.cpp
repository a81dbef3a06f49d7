// neptune-config-manual EXAMPLE: prints the manual page of the configuration file, while neptune-syncd is being built.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "client/man/page.h"

int main(int argc, char** argv) {
  std::ifstream file(argc == 2 ? argv[1] : "");
  if (!file) {
    std::fprintf(stderr, "neptune-config-manual: it wants the example of a configuration file, which it can read.\n");
    return 1;
  }
  std::ostringstream example;
  example << file.rdbuf();
  const neptune::man::Page page{
      .number = "5",
      .version = NEPTUNE_VERSION,
      .sections = {{.title = "CHECKING",
                    .text = "neptune-syncd --check-config reads the file, and names line and key of what is wrong in "
                            "it. A key that is not known is a warning."},
                   {.title = "FILES",
                    .entries = {{"/etc/neptune-syncd/config.toml", "Of the system service, and of root."},
                                {"~/.config/neptune-syncd/config.toml", "Of any other user."}}}},
      .see_also = {"neptune-syncd(8)", "neptune-sync(1)"}};
  std::fputs(neptune::man::config_manual("neptune-syncd.toml", example.str(), page).c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
