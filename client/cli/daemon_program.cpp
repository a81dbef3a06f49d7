#include "client/cli/daemon_program.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace neptune::cli {

namespace fs = std::filesystem;

std::string daemon_program() {
  std::error_code error;
  const auto own = fs::read_symlink("/proc/self/exe", error);
  if (!error)
    for (const auto& folder : {own.parent_path(), fs::path("/usr/sbin"), fs::path("/usr/bin")})
      if (fs::exists(folder / "neptune-syncd", error)) return folder / "neptune-syncd";
  return "neptune-syncd";
}

std::string become_daemon_program(std::vector<std::string> arguments) {
  const auto program = daemon_program();
  std::vector<char*> words{const_cast<char*>(program.c_str())};
  for (auto& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  std::fflush(stdout);
  ::execvp(program.c_str(), words.data());
  return program + " cannot be started: " + std::strerror(errno) + ". It is installed with the daemon.";
}

}  // namespace neptune::cli
