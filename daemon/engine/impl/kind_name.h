#pragma once

#include "sources/source.h"

namespace neptune::engine {

/// The word of the API.
constexpr const char* kind_name(sources::Kind kind) {
  switch (kind) {
    case sources::Kind::run_log:
      return "run-log";
    case sources::Kind::client_dir:
      return "client-1x";
    case sources::Kind::change_queue:
      break;
  }
  return "change-queue";
}

}  // namespace neptune::engine
