#pragma once

#include <cstdint>

namespace neptune::local_api {

/// What this process uses, as every Prometheus client tells it; 0 where the kernel does not say.
struct ProcessFacts {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  ///< since 1970
  std::uint64_t resident_bytes = 0, virtual_bytes = 0;
  std::uint64_t open_fds = 0, max_fds = 0;
  std::uint64_t threads = 0;
};

ProcessFacts process_facts();

}  // namespace neptune::local_api
