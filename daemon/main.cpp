#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "app/app.h"

namespace {

int report(const neptune::Error& error) {
  std::fprintf(stderr, "neptune-syncd: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App cli("Keeps experiment metadata safe on disk and syncs it to a Neptune server.", "neptune-syncd");
  std::string config;
  bool check = false;
  cli.add_option("--config", config,
                 "Configuration file (default: /etc/neptune-syncd/config.toml, or ~/.config/neptune-syncd/config.toml "
                 "when not root)")
      ->type_name("FILE");
  cli.add_flag("--check-config", check, "Read and check the configuration, say what was found, and end");
  cli.set_version_flag("--version", "neptune-syncd " + neptune::app::version());
  CLI11_PARSE(cli, argc, argv);

  neptune::app::Flags flags;
  if (!config.empty()) flags.config = config;
  if (check) {
    const auto findings = neptune::app::check_config(flags);
    if (!findings) return report(findings.error());
    std::fputs(findings->c_str(), stdout);
    return 0;
  }
  const auto ended = neptune::app::run(flags);
  return ended ? 0 : report(ended.error());
} catch (const std::exception& error) {
  std::fprintf(stderr, "neptune-syncd: %s\n", error.what());
  return 1;
}
