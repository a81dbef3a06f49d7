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

/// What a server told and need not be asked again.
struct Learned {
  static constexpr std::size_t most_names = 4096;
  static constexpr std::size_t most_workspaces = 256;

  Recent<Known> names{most_names};
  Recent<KnownWorkspace> workspaces{most_workspaces};
  bool ingest = false;        ///< it is known to have ingestion
  bool lacks_ingest = false;  ///< it had none at a moment when it was well
};

/// What the calls of one server and token share. Each call holds it itself, so that one that outlives the Server does
/// no harm; a new token, which may name another server, begins with nothing learned.
struct Api {
  Api(std::shared_ptr<Session> with, const Clock& given)
      : session(std::move(with)), clock(given), learned(std::make_shared<Learned>()) {}

  std::shared_ptr<Session> session;
  const Clock& clock;
  std::shared_ptr<Learned> learned;
  MayBegin may_begin{};  ///< of each request that writes

  /// The same for one call, whose writes begin only while they may: also those that come after look-ups.
  std::shared_ptr<Api> asking(MayBegin question) const {
    auto api = std::make_shared<Api>(*this);
    api->may_begin = std::move(question);
    return api;
  }
};

}  // namespace neptune::server
