#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/local_api/served.h"

namespace neptune::test {

struct Ran {
  int exit = -1;
  std::string out, err;
};

/// neptune-sync itself, against a front door in the test.
class CommandTest : public testing::Test {
 protected:
  /// `arguments` as a shell reads them.
  Ran run(const std::string& arguments, const std::string& input = "/dev/null") {
    return run_line(std::string(NEPTUNE_SYNC) + " " + arguments, input);
  }
  Ran run_line(const std::string& command, const std::string& input = "/dev/null") {
    const auto out = (folder_ / "out").string(), err = (folder_ / "err").string();
    const auto line = command + " >" + out + " 2>" + err + " <" + input;
    const int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(out), read(err)};
  }
  Ran ask(const std::string& arguments, const std::string& input = "/dev/null") {
    return run("--socket " + served_.path() + " " + arguments, input);
  }

  std::string log_path() const { return (folder_ / "log").string(); }
  static std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  Folder folder_;
  Served served_;
};

}  // namespace neptune::test
