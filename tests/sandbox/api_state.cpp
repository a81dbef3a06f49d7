// GET /sandbox/state: what the sandbox holds and what it saw. README.md documents the shape.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/json.hpp>

#include "tests/sandbox/container_json.h"
#include "tests/sandbox/json_text.h"
#include "tests/sandbox/world.h"

namespace neptune::sandbox {

namespace json = boost::json;
using json_text::append_double;
using json_text::append_integer;
using json_text::append_key;
using json_text::append_string;
using json_text::Separator;

namespace {

/// Strings of more characters are shown as {"length": n}.
constexpr std::size_t shown_characters = 1000;
/// Series of a folder (their path up to the last '/') that holds more of them are counted, not listed.
constexpr std::size_t listed_series = 1000;

struct View {
  std::string project, run;  ///< "workspace/project", "workspace/project/run"; empty: all
  bool summary = false, recent = false, full = false, times = false;

  bool all_series() const { return full || !run.empty(); }
};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string_view folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// Everything about one value as text, by its type.
class ValueWriter {
 public:
  ValueWriter(std::string& out, const View& view) : out_(out), view_(view) {}

  void operator()(double value) const { append_double(out_, value); }
  void operator()(std::int64_t value) const { append_integer(out_, value); }
  void operator()(bool value) const { out_.append(value ? "true" : "false"); }
  void operator()(const Datetime& value) const { append_string(out_, value.text()); }
  void operator()(const std::string& value) const {
    const auto length = value.size() <= shown_characters || view_.full ? 0 : characters(value);
    if (length > shown_characters)
      out_.append(fmt::format("{{\"length\":{}}}", length));
    else
      append_string(out_, value);
  }
  void operator()(const File& value) const {
    out_.append("{\"path\":");
    append_string(out_, value.path);
    out_.append(",\"size\":");
    append_integer(out_, value.size);
    out_.append(",\"mime\":");
    append_string(out_, value.mime_type);
    out_.push_back('}');
  }
  void operator()(const Image& value) const {
    out_.append("{\"name\":");
    append_string(out_, value.name);
    out_.append(",\"description\":");
    append_string(out_, value.description);
    out_.append(",\"data\":");
    (*this)(value.data);
    out_.push_back('}');
  }
  void operator()(const StringSet& value) const {
    list(value, [&](const std::string& text) { append_string(out_, text); });
  }
  void operator()(const Histogram& value) const {
    if (!view_.full) return append_string(out_, "histogram");
    out_.append("{\"bin_edges\":");
    list(value.bin_edges, [&](double edge) { append_double(out_, edge); });
    out_.append(",\"counts\":");
    list(value.counts, [&](std::uint64_t count) { append_integer(out_, count); });
    out_.append(",\"densities\":");
    list(value.densities, [&](double density) { append_double(out_, density); });
    out_.push_back('}');
  }

 private:
  template <class List, class Write>
  void list(const List& values, Write write) const {
    Separator comma;
    out_.push_back('[');
    for (const auto& value : values) {
      comma.next(out_);
      write(value);
    }
    out_.push_back(']');
  }

  std::string& out_;
  const View& view_;
};

/// FNV-1a, 64 bits, over steps and values; README.md says over which bytes.
class PointsHash {
 public:
  void add(std::uint64_t word) {
    for (int i = 0; i < 8; ++i) byte(static_cast<unsigned char>(word >> (8 * i)));
  }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value)); }
  void add(const std::string& text) {
    for (const char c : text) byte(static_cast<unsigned char>(c));
  }
  void add(const File& file) { add(file.path); }
  void add(const Image& image) { add(image.data); }
  void add(const Histogram& histogram) {
    for (const double edge : histogram.bin_edges) add(edge);
    for (const auto count : histogram.counts) add(count);
    for (const double density : histogram.densities) add(density);
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  void byte(unsigned char value) { hash_ = (hash_ ^ value) * 0x100000001B3u; }
  std::uint64_t hash_ = 0xCBF29CE484222325u;
};

template <class T>
void append_series(std::string& out, const Series<T>& series, const View& view) {
  const auto& points = series.points();
  if (view.summary) {
    PointsHash hash;
    for (const auto& point : points) {
      hash.add(point.step);
      hash.add(point.value);
    }
    out.append(fmt::format("{{\"count\":{},\"last_step\":{},\"hash\":\"{}\"}}", points.size(),
                           points.empty() ? 0 : points.back().step, hash.text()));
    return;
  }
  const ValueWriter write(out, view);
  Separator comma;
  out.push_back('[');
  for (const auto& point : points) {
    comma.next(out);
    out.push_back('[');
    append_integer(out, point.step);
    out.push_back(',');
    write(point.value);
    if (view.times) {
      out.push_back(',');
      append_integer(out, point.time_ns);
    }
    out.push_back(']');
  }
  out.push_back(']');
}

/// Writes the container's fields to the object of their kind.
class FieldWriter {
 public:
  FieldWriter(const Container& container, const View& view) : container_(container), view_(view) {}

  /// "attrs":{...},"series":{...},"sets":{...}
  void append_to(std::string& out) {
    std::vector<const Fields::value_type*> sorted;
    sorted.reserve(container_.fields.size());
    for (const auto& field : container_.fields) sorted.push_back(&field);
    std::sort(sorted.begin(), sorted.end(),
              [](const auto* left, const auto* right) { return left->first < right->first; });
    count_folders();
    for (const auto* field : sorted) {
      path_ = field->first;
      std::visit(*this, field->second);
    }
    out.append("\"attrs\":{").append(attrs_).append("},\"series\":{").append(series_);
    out.append("},\"sets\":{").append(sets_).append("}");
    if (wide_ > 0) out.append(fmt::format(",\"wide_series_count\":{}", wide_));
  }

  template <class T>
  void operator()(const Series<T>& series) {
    if (!view_.all_series() && series_of_folder_[folder_of(path_)] > listed_series) {
      ++wide_;
      return;
    }
    append_key(series_, series_comma_, path_);
    append_series(series_, series, view_);
  }
  void operator()(const StringSet& set) {
    append_key(sets_, sets_comma_, path_);
    ValueWriter(sets_, view_)(set);
  }
  template <class T>
  void operator()(const T& value) {
    append_key(attrs_, attrs_comma_, path_);
    ValueWriter(attrs_, view_)(value);
  }

 private:
  static constexpr std::size_t first_series_type = 7;

  void count_folders() {
    static_assert(std::is_same_v<std::variant_alternative_t<first_series_type, Field>, Series<double>>);
    for (const auto& [path, field] : container_.fields)
      if (field.index() >= first_series_type) ++series_of_folder_[folder_of(path)];
  }

  const Container& container_;
  const View& view_;
  std::unordered_map<std::string_view, std::size_t> series_of_folder_;
  std::string_view path_;
  std::string attrs_, series_, sets_;
  Separator attrs_comma_, series_comma_, sets_comma_;
  std::size_t wide_ = 0;
};

void append_run(std::string& out, const Run& run, const View& view) {
  out.push_back('{');
  FieldWriter(run, view).append_to(out);
  out.append(",\"experiment\":");
  append_string(out, run.experiment);
  out.append(",\"parent\":");
  if (run.fork)
    append_string(out, run.fork->run);
  else
    out.append("null");
  out.push_back('}');
}

void append_runs_and_files(std::string& out, const Store& store, const View& view) {
  std::string files;
  Separator runs_comma, files_comma;
  out.append("\"runs\":{");
  for (const auto& [workspace_name, workspace] : store.workspaces())
    for (const auto& [project_name, project] : workspace.projects) {
      const auto full = project.name.full();
      if (!view.project.empty() && view.project != full) continue;
      for (const auto& [run_id, run] : project.runs) {
        const auto key = full + "/" + run_id;
        if (!view.run.empty() && view.run != key) continue;
        append_key(out, runs_comma, key);
        append_run(out, run, view);
      }
      for (const auto& [path, file] : project.files) {
        append_key(files, files_comma, full + "/" + path);
        files.append(json::serialize(
            json::object{{"bytes", file.bytes}, {"sha256", file.sha256}, {"content_type", file.content_type}}));
      }
    }
  out.append("},\"files\":{").append(files).append("}");
}

json::object configs_json(const Container& container) {
  json::object out;
  for (const auto& [path, config] : container.series_configs)
    out[path] = {{"min", config.min ? json::value(*config.min) : json::value(nullptr)},
                 {"max", config.max ? json::value(*config.max) : json::value(nullptr)},
                 {"unit", config.unit}};
  return out;
}

void append_container(std::string& out, const Container& container, const View& view) {
  json::object about{{"id", container.id},
                     {"type", type_name(container.type)},
                     {"trashed", container.trashed},
                     {"archived", container.archived},
                     {"bytes", container.bytes}};
  if (container.type == Container::Type::run) about["run"] = container.project->name.full() + "/" + container.key;
  if (!container.custom_id.empty()) about["custom_id"] = container.custom_id;
  if (container.model != nullptr) about["model"] = container.model->short_id;
  if (!container.series_configs.empty()) about["series_configs"] = configs_json(container);
  auto text = json::serialize(about);
  if (container.type == Container::Type::run) {
    out.append(text);
    return;
  }
  text.back() = ',';
  out.append(text);
  FieldWriter(container, view).append_to(out);
  out.push_back('}');
}

/// Runs tell where else they stand; the others have everything here.
void append_containers(std::string& out, const Store& store, const View& view) {
  Separator comma;
  out.append(",\"containers\":{");
  for (const auto& [workspace_name, workspace] : store.workspaces())
    for (const auto& [project_name, project] : workspace.projects) {
      const auto full = project.name.full();
      if ((!view.project.empty() && view.project != full) || !view.run.empty()) continue;
      const auto append = [&](const Container& container) {
        append_key(out, comma, full + "/" + container.short_id);
        append_container(out, container, view);
      };
      append(project.metadata);
      for (const auto& [key, model] : project.models) append(model);
      for (const auto& [key, run] : project.runs) append(run);
    }
  out.push_back('}');
}

json::object roles_json(const std::map<std::string, std::string>& roles) {
  json::object out;
  for (const auto& [who, role] : roles) out[who] = role;
  return out;
}

json::array invitations_json(const Workspace& workspace) {
  json::array out;
  for (const auto& each : workspace.invitations)
    out.push_back({{"id", each.id},
                   {"invitee", each.invitee},
                   {"type", each.type},
                   {"role", each.role},
                   {"add_to_all_projects", each.add_to_all_projects}});
  return out;
}

json::object service_accounts_json(const Workspace& workspace) {
  json::object out;
  for (const auto& account : workspace.service_accounts) out[account.name] = account.id;
  return out;
}

json::object scope_json(const Scope& scope, const ScopeState& state) {
  json::object out{{"mode", state.read_only() ? "read_only" : "normal"},
                   {"reason", reason(scope, state)},
                   {"style", state.style.name},
                   {"storage_bytes", state.used},
                   {"writes_while_read_only", state.writes_while_read_only}};
  out[scope.is_workspace() ? "quota" : "storage_limit"] =
      state.limit ? json::value(*state.limit) : json::value(nullptr);
  return out;
}

void append_scopes(std::string& out, const Store& store) {
  json::object workspaces, projects, writes;
  for (const auto& [name, workspace] : store.workspaces()) {
    auto entry = scope_json(Scope::of(name), workspace.state);
    entry["type"] = workspace.type;
    entry["to_be_freed_bytes"] = store.to_be_freed(workspace);
    entry["members"] = json::array(workspace.members.begin(), workspace.members.end());
    entry["service_accounts"] = service_accounts_json(workspace);
    entry["invitations"] = invitations_json(workspace);
    workspaces[name] = std::move(entry);
    writes[name] = workspace.state.writes_while_read_only;
    for (const auto& [project_name, project] : workspace.projects) {
      auto below = scope_json(Scope::of(project.name), project.state);
      below["id"] = project.id;
      below["visibility"] = project.visibility;
      below["key"] = project.key;
      below["description"] = project.description;
      below["members"] = roles_json(project.members);
      below["service_accounts"] = roles_json(project.service_accounts);
      below["archived"] = project.state.archived;
      below["runs"] = project.runs.size();
      projects[project.name.full()] = std::move(below);
      writes[project.name.full()] = project.state.writes_while_read_only;
    }
  }
  out.append(",\"workspaces\":").append(json::serialize(workspaces));
  out.append(",\"projects\":").append(json::serialize(projects));
  out.append(",\"writes_while_read_only\":").append(json::serialize(writes));
}

void append_counters(std::string& out, const World& world) {
  json::object requests;
  for (const auto& [endpoint, statuses] : world.requests) {
    json::object counts;
    for (const auto& [status, count] : statuses) counts[status] = count;
    requests[endpoint] = std::move(counts);
  }
  const auto& totals = world.store.totals;
  out.append(",\"requests\":").append(json::serialize(requests));
  out.append(fmt::format(",\"faults_struck\":{}", world.faults.struck()));
  out.append(fmt::format(",\"duplicates\":{{\"points\":{},\"creates\":{}}}", totals.duplicate_points,
                         totals.duplicate_creates));
  out.append(
      fmt::format(",\"order_violations\":{},\"unprocessed\":{}", totals.order_violations, world.queue.waiting()));
}

void append_uploads(std::string& out, const ObjectStore& objects) {
  std::uint64_t blocks = 0;
  for (const auto& [blob, held] : objects.blocks) blocks += held.size();
  out.append(",\"uploads\":")
      .append(json::serialize(json::object{{"signing_requests", objects.signing_requests},
                                           {"signed_files", objects.signed_files},
                                           {"stored_files", objects.stored_files},
                                           {"received_bytes", objects.received_bytes},
                                           {"tokens_seen", objects.tokens_seen},
                                           {"uncommitted_blocks", blocks},
                                           {"keep_less", objects.keep_less},
                                           {"missing_etags", objects.missing_etags}}));
}

void append_recent(std::string& out, const IngestQueue& queue) {
  json::array recent;
  for (const auto& arrival : queue.arrivals())
    recent.push_back({{"id", arrival.id},
                      {"project", arrival.project},
                      {"run", arrival.run},
                      {"kind", arrival.create ? "create" : "update"},
                      {"operations", arrival.operations},
                      {"bytes", arrival.bytes},
                      {"mono_us", arrival.mono_us},
                      {"wall_ms", arrival.wall_ms},
                      {"processed_mono_us", queue.status(arrival.id)->processed_mono_us}});
  out.append(",\"recent\":").append(json::serialize(recent));
}

void append_traffic(std::string& out, const Traffic& traffic) {
  json::array calls;
  for (const auto& call : traffic.calls())
    calls.push_back({{"what", call.status_call ? "status" : "write"},
                     {"scope", call.scope},
                     {"read_only", call.read_only},
                     {"started_us", call.started_us},
                     {"answered_us", call.answered_us},
                     {"told_us", call.told_us}});
  out.append(",\"traffic\":").append(json::serialize(calls));
}

Response state(const World& world, const Request& request) {
  View view;
  view.project = request.query_value("project");
  view.run = request.query_value("run");
  view.summary = request.query_value("summary") == "1";
  view.recent = request.query_value("recent") == "1";
  view.full = request.query_value("full") == "1";
  view.times = request.query_value("times") == "1";
  std::string out = "{";
  append_runs_and_files(out, world.store, view);
  append_containers(out, world.store, view);
  append_scopes(out, world.store);
  append_counters(out, world);
  append_uploads(out, world.objects);
  if (view.recent) append_recent(out, world.queue);
  if (request.query_value("traffic") == "1") append_traffic(out, world.traffic);
  out.append("}\n");
  return {200, std::move(out), "application/json", {}};
}

}  // namespace

void add_state_api(World& world) {
  Route route;
  route.method = "GET";
  route.pattern = "/sandbox/state";
  route.needs_token = false;
  route.handle = [&world](const Request& request) { return state(world, request); };
  world.router.add(std::move(route));
}

}  // namespace neptune::sandbox
