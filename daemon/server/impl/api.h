#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "server/impl/recent.h"
#include "server/impl/session.h"
#include "server/server.h"
#include "support/clock.h"

namespace neptune::server {

/// What the server told of a name.
struct Known {
  std::string id;   ///< UUID of a project or container, id of a service account
  std::string key;  ///< of a project; else empty
};

struct KnownWorkspace {
  WorkspaceType type = WorkspaceType::unknown;
  Instant until{};
};

/// What the calls of one server and token share. Each call holds it itself, so that one that outlives the Server does
/// no harm; a new token, which may name another server, begins with an empty one.
struct Api {
  static constexpr std::size_t most_names = 4096;
  static constexpr std::size_t most_workspaces = 256;

  Api(std::shared_ptr<Session> with, const Clock& given) : session(std::move(with)), clock(given) {}

  std::shared_ptr<Session> session;
  const Clock& clock;
  Recent<Known> names{most_names};
  Recent<KnownWorkspace> workspaces{most_workspaces};
  bool ingest = false;  ///< the server is known to have ingestion
};

}  // namespace neptune::server
