#include "app/status_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "client/lib/names.h"
#include "support/sizes.h"

namespace neptune::app {

namespace {

std::string waiting_on_disk(std::uint64_t count) {
  return number_of(count, "change") + (count == 1 ? " waits" : " wait") + " on disk";
}

struct NamedScope {
  std::string name;
  const api::ScopeStatus* scope = nullptr;
};

/// Workspaces and projects in a mode; a project whose workspace is in it, too, is not named besides.
std::vector<NamedScope> scopes_in(const api::Status& status, std::string_view mode) {
  std::vector<NamedScope> found;
  for (const auto& workspace : status.workspaces) {
    if (workspace.mode == mode) {
      found.push_back({workspace.name, &workspace});
      continue;
    }
    for (const auto& project : workspace.projects)
      if (project.mode == mode) found.push_back({api::full_name(workspace, project), &project});
  }
  return found;
}

std::string about(const std::vector<NamedScope>& scopes, std::string_view mode) {
  const auto& [name, first] = scopes.front();
  std::uint64_t held = 0;
  for (const auto& each : scopes) held += each.scope->held;
  const auto others = scopes.size() > 1 ? fmt::format(" and {} more", scopes.size() - 1) : std::string();
  const auto reason =
      first->reason && !first->reason->empty() && scopes.size() == 1 ? " (" + *first->reason + ")" : std::string();
  return fmt::format("{}{} {} {}{}; {}", name, others, scopes.size() > 1 ? "are" : "is", mode, reason,
                     waiting_on_disk(held));
}

/// Folders and logs that wait until somebody mends them.
std::string set_aside(const api::Status& status) {
  const auto aside = [](const api::SourceStatus& source) { return source.state == "set_aside"; };
  const auto first = std::ranges::find_if(status.sources, aside);
  if (first == status.sources.end()) return {};
  const auto count = std::ranges::count_if(status.sources, aside);
  if (count == 1 && first->kind == "watch") return first->detail.value_or(first->path + " cannot be read");
  return fmt::format("{}{} set aside: {}", first->path,
                     count > 1 ? fmt::format(" and {} more are", count - 1) : std::string(" is"),
                     first->detail.value_or("it cannot be read"));
}

/// Logs that were removed before all of them was synced.
std::string gone(const api::Status& status) {
  const auto is_gone = [](const api::SourceStatus& source) { return source.state == "gone"; };
  const auto first = std::ranges::find_if(status.sources, is_gone);
  if (first == status.sources.end()) return {};
  const auto others = std::ranges::count_if(status.sources, is_gone) - 1;
  return first->detail.value_or(first->path + " is gone") + (others > 0 ? fmt::format("; and {} more", others) : "");
}

}  // namespace

std::string status_line(const api::Status& status) {
  if (const auto scopes = scopes_in(status, "read_only"); !scopes.empty()) return about(scopes, "read-only");
  if (!status.problems.empty()) return status.problems.front();
  const auto waiting = status.totals.pending + status.totals.in_flight;
  if (status.server.problem)
    return fmt::format("The server cannot be asked: {}. {}", *status.server.problem, waiting_on_disk(waiting));
  if (status.server.token_problem)
    return fmt::format("There is no API token to use: {}. {}", *status.server.token_problem, waiting_on_disk(waiting));
  if (status.server.token_remedy)
    return fmt::format("The server does not accept the API token. {} {}", *status.server.token_remedy,
                       waiting_on_disk(waiting));
  if (!status.server.reachable && status.server.last_error)
    return fmt::format("The server is not reached: {} {}", *status.server.last_error, waiting_on_disk(waiting));
  if (auto aside = set_aside(status); !aside.empty()) return aside;
  if (auto lost = gone(status); !lost.empty()) return lost;
  if (const auto scopes = scopes_in(status, "held"); !scopes.empty()) return about(scopes, "held by an operator");
  if (waiting > 0) return number_of(waiting, "change") + " to be synced";
  if (!status.moved.empty()) {
    std::uint64_t moved = 0;
    for (const auto& each : status.moved) moved += each.changes;
    return fmt::format("All else is synced: {} moved to another machine in {}", number_of(moved, "change"),
                       status.moved.front().to);
  }
  return "All is synced";
}

}  // namespace neptune::app
