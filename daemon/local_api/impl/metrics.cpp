#include "local_api/impl/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "client/lib/time.h"

namespace neptune::local_api {

namespace {

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '"')
      out += "\\\"";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class T>
  void sample(const Labels& labels, T value) {
    out_ += name_;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      out_ += i == 0 ? '{' : ',';
      out_ += labels[i].first;
      out_ += "=\"";
      append_escaped(out_, labels[i].second);
      out_ += '"';
    }
    if (!labels.empty()) out_ += '}';
    fmt::format_to(std::back_inserter(out_), " {}\n", value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string_view name_;
  std::string out_;
};

/// Seconds since the oldest pending change; 0 when nothing is pending.
double oldest_age(const api::Totals& totals, WallTime now) {
  const auto at = totals.oldest_pending_at ? api::parse_time(*totals.oldest_pending_at) : std::nullopt;
  if (!at) return 0;
  return std::max(0.0, std::chrono::duration<double>(now - *at).count());
}

struct Row {
  Labels labels;
  const api::ScopeStatus* scope;
};

/// The project's own name, whether or not the status names it in full.
std::string_view project_label(std::string_view name, std::string_view workspace) {
  if (name.size() > workspace.size() && name.starts_with(workspace) && name[workspace.size()] == '/')
    name.remove_prefix(workspace.size() + 1);
  return name;
}

void write_scopes(Text& text, const std::vector<Row>& rows, const std::string& prefix, std::string_view of,
                  WallTime now) {
  struct Count {
    std::string_view name, type, help;
    std::uint64_t api::ScopeStatus::* value;
  };
  static constexpr std::array counts{
      Count{"pending_changes", "gauge", "Changes that wait to be sent", &api::ScopeStatus::pending},
      Count{"held_changes", "gauge", "Changes that wait because their scope is not writable", &api::ScopeStatus::held},
      Count{"in_flight_changes", "gauge", "Changes sent and not yet confirmed", &api::ScopeStatus::in_flight},
      Count{"synced_changes_total", "counter", "Changes the server confirmed", &api::ScopeStatus::synced},
      Count{"rejected_changes_total", "counter", "Changes the server refused for good", &api::ScopeStatus::rejected},
      Count{"pending_bytes", "gauge", "Bytes of all changes that are not synced", &api::ScopeStatus::pending_bytes},
  };
  for (const auto& count : counts) {
    const std::string name = prefix + std::string(count.name);
    text.family(name, count.type, fmt::format("{}, {}.", count.help, of));
    for (const auto& row : rows) text.sample(row.labels, row.scope->*count.value);
  }
  const std::string age = prefix + "oldest_pending_age_seconds";
  text.family(age, "gauge", fmt::format("Age of the oldest change that is not synced, {}.", of));
  for (const auto& row : rows) text.sample(row.labels, oldest_age(*row.scope, now));

  const std::string mode = prefix + "mode";
  text.family(mode, "gauge", fmt::format("1 for the mode that applies, {}.", of));
  for (const auto& row : rows) {
    for (const std::string_view candidate : {"normal", "read_only", "held"}) {
      auto labels = row.labels;
      labels.emplace_back("mode", candidate);
      text.sample(labels, row.scope->mode == candidate ? 1 : 0);
    }
  }
}

}  // namespace

std::string metrics_text(const api::Status& status, WallTime now) {
  std::vector<Row> workspaces, projects;
  for (const auto& workspace : status.workspaces) {
    workspaces.push_back({{{"workspace", workspace.name}}, &workspace});
    for (const auto& project : workspace.projects) {
      const auto name = project_label(project.name, workspace.name);
      projects.push_back({{{"workspace", workspace.name}, {"project", name}}, &project});
    }
  }
  std::map<std::pair<std::string_view, std::string_view>, std::uint64_t> sources;
  for (const auto& source : status.sources) ++sources[{source.kind, source.state}];

  Text text;
  text.family("neptune_sync_build_info", "gauge", "The daemon's version.");
  text.sample({{"version", status.version}}, 1);
  text.family("neptune_sync_draining", "gauge", "1 while the daemon stops.");
  text.sample({}, status.state == "draining" ? 1 : 0);
  text.family("neptune_sync_server_reachable", "gauge", "1 when the last call to the server was answered.");
  text.sample({}, status.server.reachable ? 1 : 0);
  write_scopes(text, projects, "neptune_sync_", "per project", now);
  write_scopes(text, workspaces, "neptune_sync_workspace_", "per workspace", now);
  text.family("neptune_sync_sources", "gauge", "Sources and watched folders, by state.");
  for (const auto& [key, count] : sources) text.sample({{"kind", key.first}, {"state", key.second}}, count);
  return text.take();
}

}  // namespace neptune::local_api
