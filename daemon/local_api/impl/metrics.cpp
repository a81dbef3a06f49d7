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
  explicit Text(MetricsForm form) : form_(form) {}

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    // OpenMetrics calls a counter's family by its name without the suffix of its sample.
    constexpr std::string_view suffix = "_total";
    auto introduced = name;
    if (form_ == MetricsForm::open_metrics && introduced.ends_with(suffix)) introduced.remove_suffix(suffix.size());
    fmt::format_to(std::back_inserter(out_), "# TYPE {0} {1}\n", introduced, type);
    if (form_ == MetricsForm::open_metrics)
      for (const std::string_view unit : {"seconds", "bytes"})
        if (introduced.ends_with(unit)) fmt::format_to(std::back_inserter(out_), "# UNIT {} {}\n", introduced, unit);
    fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n", introduced, help);
  }
  template <class T>
  void sample(const Labels& labels, T value) {
    sample({}, labels, value);
  }
  /// Of a histogram: the parts of a family have names of their own.
  template <class T>
  void sample(std::string_view suffix, const Labels& labels, T value) {
    out_ += name_;
    out_ += suffix;
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
  std::string take() {
    if (form_ == MetricsForm::open_metrics) out_ += "# EOF\n";
    return std::move(out_);
  }

 private:
  MetricsForm form_;
  std::string name_;
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
  std::uint64_t retried = 0;  // rejected, and stored by a retry since
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
      Count{"rejected_kept_changes", "gauge", "Changes the server refused that are kept",
            &api::ScopeStatus::rejected_kept},
      Count{"pending_bytes", "gauge", "Bytes of all changes that are not synced", &api::ScopeStatus::pending_bytes},
  };
  for (const auto& count : counts) {
    const std::string name = prefix + std::string(count.name);
    text.family(name, count.type, fmt::format("{}, {}.", count.help, of));
    for (const auto& row : rows) text.sample(row.labels, row.scope->*count.value);
  }
  // Whatever became of them since: a counter never goes down.
  const std::string rejected = prefix + "rejected_changes_total";
  text.family(rejected, "counter", fmt::format("Changes the server refused for good, {}.", of));
  for (const auto& row : rows) text.sample(row.labels, row.scope->rejected + row.retried);

  const std::string age = prefix + "oldest_pending_age_seconds";
  text.family(age, "gauge", fmt::format("Age of the oldest change that is not synced, {}.", of));
  for (const auto& row : rows) text.sample(row.labels, oldest_age(*row.scope, now));

  const std::string mode = prefix + "mode";
  text.family(mode, "gauge", fmt::format("1 for the mode that applies, {}.", of));
  for (const auto& row : rows) {
    for (const std::string_view candidate : {"normal", "read_only", "held"}) {
      auto labels = row.labels;
      labels.emplace_back("mode", candidate);
      text.sample(labels, row.scope->own_mode() == candidate ? 1 : 0);
    }
  }
}

void write_histograms(Text& text, const engine::Metrics& metrics) {
  text.family("neptune_sync_confirm_seconds", "histogram",
              "From taking up a batch to its confirmation by the server, per project.");
  for (const auto& [project, histogram] : metrics.confirm_seconds) {
    const Labels labels{{"workspace", project.workspace}, {"project", project.project}};
    for (std::size_t i = 0; i <= engine::Histogram::bounds.size(); ++i) {
      const auto bound =
          i < engine::Histogram::bounds.size() ? fmt::format("{}", engine::Histogram::bounds[i]) : std::string("+Inf");
      auto of_bucket = labels;
      of_bucket.emplace_back("le", bound);
      text.sample("_bucket", of_bucket, histogram.up_to(i));
    }
    text.sample("_sum", labels, histogram.sum());
    text.sample("_count", labels, histogram.count());
  }
}

void write_uploads(Text& text, const api::Status& status, const engine::Metrics& metrics) {
  std::uint64_t waiting = 0;
  for (const auto& source : status.sources) waiting += source.uploads;
  text.family("neptune_sync_waiting_uploads", "gauge", "Files that wait to be uploaded, or are on their way.");
  text.sample({}, waiting);
  text.family("neptune_sync_active_uploads", "gauge", "Files that are on their way (20 at most are counted).");
  text.sample({}, status.uploads.size());
  text.family("neptune_sync_uploaded_files_total", "counter",
              "Files that were uploaded since the daemon started, per project.");
  for (const auto& [project, uploaded] : metrics.uploaded)
    text.sample({{"workspace", project.workspace}, {"project", project.project}}, uploaded.files);
  text.family("neptune_sync_uploaded_bytes_total", "counter", "Bytes of these files, per project.");
  for (const auto& [project, uploaded] : metrics.uploaded)
    text.sample({{"workspace", project.workspace}, {"project", project.project}}, uploaded.bytes);
}

void write_counters(Text& text, const engine::Metrics& metrics) {
  text.family("neptune_sync_sent_bytes_total", "counter",
              "Bytes of ingest requests that the server took since the daemon started, per project.");
  for (const auto& [project, bytes] : metrics.sent_bytes)
    text.sample({{"workspace", project.workspace}, {"project", project.project}}, bytes);
  text.family("neptune_sync_rejections_total", "counter",
              "Changes the server refused for good since the daemon started, per project and code.");
  for (const auto& [key, count] : metrics.rejections)
    text.sample({{"workspace", key.first.workspace}, {"project", key.first.project}, {"code", key.second}}, count);
  text.family(
      "neptune_sync_probes_total", "counter",
      "Status calls of workspaces, and probing writes of projects, since the daemon started, and what they told.");
  for (const auto& [key, count] : metrics.probes) {
    const auto& [scope, result] = key;
    if (scope.is_workspace())
      text.sample({{"workspace", scope.workspace}, {"result", result}}, count);
    else
      text.sample({{"workspace", scope.workspace}, {"project", scope.project}, {"result", result}}, count);
  }
}

/// The names every Prometheus client has.
void write_process(Text& text, const ProcessFacts& process) {
  text.family("process_cpu_seconds_total", "counter", "Time of processors that the daemon used.");
  text.sample({}, process.cpu_seconds);
  text.family("process_start_time_seconds", "gauge", "When the daemon started, since 1970.");
  text.sample({}, fmt::format("{:.2f}", process.start_time_seconds));
  text.family("process_resident_memory_bytes", "gauge", "Memory that is in use.");
  text.sample({}, process.resident_bytes);
  text.family("process_virtual_memory_bytes", "gauge", "Address space that is in use.");
  text.sample({}, process.virtual_bytes);
  text.family("process_open_fds", "gauge", "Open file descriptors.");
  text.sample({}, process.open_fds);
  text.family("process_max_fds", "gauge", "How many file descriptors may be open.");
  text.sample({}, process.max_fds);
  text.family("process_threads", "gauge", "Threads.");
  text.sample({}, process.threads);
}

}  // namespace

MetricsForm metrics_form(std::string_view accept) {
  return accept.find("application/openmetrics-text") == std::string_view::npos ? MetricsForm::prometheus
                                                                               : MetricsForm::open_metrics;
}

const char* content_type(MetricsForm form) {
  return form == MetricsForm::open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                           : "text/plain; version=0.0.4; charset=utf-8";
}

std::string metrics_text(const api::Status& status, const engine::Metrics& metrics, const ProcessFacts& process,
                         WallTime now, MetricsForm form) {
  std::vector<Row> workspaces, projects;
  for (const auto& workspace : status.workspaces) {
    workspaces.push_back({{{"workspace", workspace.name}}, &workspace});
    for (const auto& project : workspace.projects) {
      const auto name = project_label(project.name, workspace.name);
      projects.push_back({{{"workspace", workspace.name}, {"project", name}}, &project});
    }
    for (const auto& [project, count] : metrics.retried) {
      if (project.workspace != workspace.name) continue;
      workspaces.back().retried += count;
      for (auto& row : projects)
        if (row.labels[0].second == project.workspace && row.labels[1].second == project.project) row.retried = count;
    }
  }
  std::map<std::pair<std::string_view, std::string_view>, std::uint64_t> sources;
  for (const auto& source : status.sources) ++sources[{source.kind, source.state}];

  Text text(form);
  text.family("neptune_sync_build_info", "gauge", "The daemon's version.");
  text.sample({{"version", status.version}}, 1);
  text.family("neptune_sync_draining", "gauge", "1 while the daemon stops.");
  text.sample({}, status.state == "draining" ? 1 : 0);
  text.family("neptune_sync_server_reachable", "gauge", "1 when the last call to the server was answered.");
  if (status.server.known) text.sample({}, status.server.reachable ? 1 : 0);
  write_scopes(text, projects, "neptune_sync_", "per project", now);
  write_scopes(text, workspaces, "neptune_sync_workspace_", "per workspace", now);
  text.family("neptune_sync_sources", "gauge", "Sources and watched folders, by state.");
  for (const auto& [key, count] : sources) text.sample({{"kind", key.first}, {"state", key.second}}, count);
  text.family("neptune_sync_problems", "gauge", "What the daemon itself lacks, such as room on its disk.");
  text.sample({}, status.problems.size());
  text.family("neptune_sync_queue_bytes", "gauge", "Bytes of the changes that wait in the change queue.");
  text.sample({}, metrics.queue_bytes);
  text.family("neptune_sync_queue_max_bytes", "gauge", "How many may wait there ([queue] max_bytes).");
  text.sample({}, metrics.queue_max_bytes);
  write_histograms(text, metrics);
  write_uploads(text, status, metrics);
  write_counters(text, metrics);
  write_process(text, process);
  return text.take();
}

}  // namespace neptune::local_api
