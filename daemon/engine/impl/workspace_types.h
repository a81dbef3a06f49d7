#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "changes/change.h"
#include "support/clock.h"

namespace neptune::engine {

/// Whose workspaces are, as far as their servers told lately.
class WorkspaceTypes {
 public:
  static constexpr std::chrono::minutes fresh{1};  // our own choice: a server::Server remembers for longer

  WorkspaceType of(std::string_view workspace) const {
    const auto it = known_.find(workspace);
    return it == known_.end() ? WorkspaceType::unknown : it->second.type;
  }

  /// Whether it is time to ask: what was told is used until there is another answer.
  bool is_due(std::string_view workspace, Instant now) const {
    const auto it = known_.find(workspace);
    return it == known_.end() || it->second.type == WorkspaceType::unknown || !it->second.at ||
           now - *it->second.at >= fresh;
  }

  /// Whether it is news, which a later process is to know.
  bool told(const std::string& workspace, WorkspaceType type, Instant now) {
    const bool news = type != WorkspaceType::unknown && of(workspace) != type;
    known_[workspace] = {type, now};
    return news;
  }

  /// As an earlier process was told: it is asked for again with the first need.
  void recall(const std::string& workspace, WorkspaceType type) { known_[workspace] = {type, std::nullopt}; }

  /// A server's token was replaced: it may be another server.
  void forget() { known_.clear(); }

 private:
  struct Known {
    WorkspaceType type = WorkspaceType::unknown;
    std::optional<Instant> at{};
  };
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace neptune::engine
