#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace neptune::app {

/// What an export wrote, and what it could not.
struct Tally {
  std::uint64_t changes = 0;     ///< of the queue
  std::uint64_t operations = 0;  ///< of logs and directories
  std::uint64_t logs = 0, directories = 0;
  std::uint64_t files = 0;        ///< that wait for their upload
  std::vector<std::string> left;  ///< what waits here and is not in the file, and why: half-sentences
};

}  // namespace neptune::app
