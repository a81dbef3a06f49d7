#pragma once

#include <sys/resource.h>

namespace neptune::app {

/// Many logs are watched and some are open at once: use what the service manager allows.
inline void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace neptune::app
