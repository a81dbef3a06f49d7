#include "tests/sandbox/snapshot.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "changes/limits.h"
#include "proto/ingest.pb.h"

namespace neptune::sandbox {

namespace {

using ingest::v1::UpdateRunSnapshot;
using ingest::v1::Value;

// A file's reference (docs/protocol.md, "Files"): its path, and its MIME type.
constexpr std::size_t file_path_bytes = 800;
constexpr std::size_t mime_type_bytes = 128;
// Years 1 to 9999.
constexpr std::int64_t first_second = -62135596800;
constexpr std::int64_t last_second = 253402300799;

// Attributes that only the server writes.
constexpr std::string_view read_only_paths[] = {"sys/custom_run_id", "sys/id",        "sys/modification_time",
                                                "sys/owner",         "sys/ping_time", "sys/running_time",
                                                "sys/size",          "sys/trashed"};

IngestCode check_histogram(const ingest::v1::Histogram& histogram) {
  const auto& edges = histogram.bin_edges();
  if (static_cast<std::size_t>(edges.size()) > limits::histogram_bin_edges) return IngestCode::histogram_too_many_bins;
  if (std::any_of(edges.begin(), edges.end(), [](double edge) { return std::isnan(edge); }))
    return IngestCode::histogram_bin_edges_contains_nan;
  for (int i = 1; i < edges.size(); ++i)
    if (edges[i] <= edges[i - 1]) return IngestCode::histogram_bin_edges_not_increasing;
  const int values = histogram.has_densities() ? histogram.densities().values_size() : histogram.counts().values_size();
  return values + 1 == edges.size() ? IngestCode::ok : IngestCode::histogram_values_length_doesnt_match_bins;
}

IngestCode check_value(const Value& value) {
  switch (value.value_case()) {
    case Value::kString:
      return value.string().size() > limits::string_bytes ? IngestCode::string_value_exceeds_size_limit
                                                          : IngestCode::ok;
    case Value::kTimestamp: {
      const auto& time = value.timestamp();
      const bool good = time.seconds() >= first_second && time.seconds() <= last_second && time.nanos() >= 0 &&
                        time.nanos() < 1'000'000'000;
      return good ? IngestCode::ok : IngestCode::datetime_value_out_of_range;
    }
    case Value::kStringSet: {
      std::size_t bytes = 0;
      for (const auto& text : value.string_set().values()) bytes += text.size();
      return bytes > limits::string_bytes ? IngestCode::string_set_exceeds_size_limit : IngestCode::ok;
    }
    case Value::kFileRef:
      return value.file_ref().path().size() > file_path_bytes || value.file_ref().mime_type().size() > mime_type_bytes
                 ? IngestCode::file_ref_exceeds_size_limit
                 : IngestCode::ok;
    case Value::kHistogram:
      return check_histogram(value.histogram());
    case Value::VALUE_NOT_SET:
      return IngestCode::field_type_unsupported;
    default:
      return IngestCode::ok;
  }
}

IngestCode check_step(const ingest::v1::Step& step) {
  if (step.micro() >= limits::step_micro) return IngestCode::series_step_invalid;
  return step.whole() >= limits::step_whole ? IngestCode::series_step_too_large : IngestCode::ok;
}

std::uint64_t micro_step(const ingest::v1::Step& step) {
  return step.whole() * limits::step_micro + step.micro();
}

File file_of(const ingest::v1::FileRef& file) {
  return {file.path(), file.mime_type(), file.size_bytes()};
}

template <class T>
IngestCode set_field(Fields& fields, const std::string& path, T value) {
  const auto [at, added] = fields.try_emplace(path, std::move(value));
  if (added) return IngestCode::ok;
  auto* old = std::get_if<T>(&at->second);
  if (old == nullptr) return IngestCode::field_type_conflicting;
  *old = std::move(value);
  return IngestCode::ok;
}

IngestCode assign(Fields& fields, const std::string& path, const Value& value) {
  switch (value.value_case()) {
    case Value::kFloat64:
      return set_field(fields, path, value.float64());
    case Value::kInt64:
      return set_field<std::int64_t>(fields, path, value.int64());
    case Value::kBool:
      return set_field(fields, path, value.bool_());
    case Value::kString:
      return set_field(fields, path, value.string());
    case Value::kTimestamp:
      return set_field(fields, path, Datetime{value.timestamp().seconds(), value.timestamp().nanos()});
    case Value::kStringSet:
      return set_field(fields, path, StringSet(value.string_set().values().begin(), value.string_set().values().end()));
    case Value::kFileRef:
      return set_field(fields, path, file_of(value.file_ref()));
    default:
      return IngestCode::field_type_unsupported;
  }
}

/// What to do with the points of a snapshot: where they go, or the code all of them get.
struct Place {
  std::uint64_t step = 0;
  std::int64_t time_ns = 0;
  bool preview = false;
  IngestCode code = IngestCode::ok;
};

template <class T>
IngestCode append_to(Fields& fields, const std::string& path, const Place& place, T value) {
  auto at = fields.find(path);
  if (at == fields.end()) at = fields.emplace(path, Series<T>()).first;
  auto* series = std::get_if<Series<T>>(&at->second);
  if (series == nullptr) return IngestCode::field_type_conflicting;
  return series->append({place.step, std::move(value), place.time_ns}, place.preview);
}

IngestCode append(Fields& fields, const std::string& path, const Place& place, const Value& value) {
  switch (value.value_case()) {
    case Value::kFloat64:
      return append_to(fields, path, place, value.float64());
    case Value::kString:
      return append_to(fields, path, place, value.string());
    case Value::kFileRef:
      return append_to(fields, path, place, file_of(value.file_ref()));
    case Value::kHistogram: {
      const auto& from = value.histogram();
      Histogram histogram;
      histogram.bin_edges.assign(from.bin_edges().begin(), from.bin_edges().end());
      histogram.counts.assign(from.counts().values().begin(), from.counts().values().end());
      histogram.densities.assign(from.densities().values().begin(), from.densities().values().end());
      return append_to(fields, path, place, std::move(histogram));
    }
    default:
      return IngestCode::field_type_unsupported;
  }
}

IngestCode modify_set(Fields& fields, const std::string& path, const ingest::v1::ModifySet& change) {
  if (!change.has_string()) return IngestCode::field_type_unsupported;
  const auto at = fields.try_emplace(path, StringSet()).first;
  auto* set = std::get_if<StringSet>(&at->second);
  if (set == nullptr) return IngestCode::field_type_conflicting;
  for (const auto& [value, operation] : change.string().values()) {
    if (operation == ingest::v1::SET_OPERATION_ADD) set->insert(value);
    if (operation == ingest::v1::SET_OPERATION_REMOVE) set->erase(value);
  }
  return IngestCode::ok;
}

Place place_of(const Run& run, const UpdateRunSnapshot& snapshot) {
  Place place;
  place.preview = snapshot.preview().is_preview();
  place.time_ns = time_ns_of(snapshot.timestamp().seconds(), 1'000'000'000) + snapshot.timestamp().nanos();
  if (!snapshot.has_step()) {
    place.code = IngestCode::series_step_invalid;
    return place;
  }
  place.code = check_step(snapshot.step());
  if (place.code != IngestCode::ok) return place;
  place.step = micro_step(snapshot.step());
  if (run.fork && place.step <= run.fork->step) place.code = IngestCode::series_step_not_after_fork_point;
  return place;
}

}  // namespace

IngestCode check_path(const std::string& path) {
  if (path.empty()) return IngestCode::field_path_empty;
  if (path.size() > limits::field_path_bytes) return IngestCode::field_path_exceeds_size_limit;
  if (path.front() == '/' || path.back() == '/' || path.find("//") != std::string::npos ||
      path.find('\0') != std::string::npos)
    return IngestCode::field_path_invalid;
  if (std::find(std::begin(read_only_paths), std::end(read_only_paths), path) != std::end(read_only_paths))
    return IngestCode::field_path_non_writable;
  return IngestCode::ok;
}

std::int32_t rpc_code(IngestCode code) {
  switch (code) {
    case IngestCode::ok:
      return 0;
    case IngestCode::project_not_found:
    case IngestCode::run_not_found:
    case IngestCode::run_fork_parent_not_found:
      return 5;  // NOT_FOUND
    case IngestCode::run_duplicate:
    case IngestCode::series_point_duplicate:
      return 6;  // ALREADY_EXISTS
    case IngestCode::run_conflicting:
    case IngestCode::ingest_suspended:
      return 9;  // FAILED_PRECONDITION
    case IngestCode::internal:
      return 13;  // INTERNAL
    default:
      return 3;  // INVALID_ARGUMENT
  }
}

std::vector<RejectRule> rules_for(const std::vector<RejectRule>& all, const ProjectName& project,
                                  const std::string& run) {
  std::vector<RejectRule> out;
  for (const auto& rule : all)
    if (rule.applies_to(project, run)) out.push_back(rule);
  return out;
}

IngestCode rejected_by(const std::vector<RejectRule>& rules, const std::string& path) {
  for (const auto& rule : rules)
    if (rule.prefix ? path.starts_with(rule.path) : path == rule.path) return rule.code;
  return IngestCode::ok;
}

bool RejectRule::applies_to(const ProjectName& project, const std::string& run_id) const {
  if (!scope.workspace.empty() && scope.workspace != project.workspace) return false;
  if (!scope.project.empty() && scope.project != project.project) return false;
  return run.empty() || run == run_id;
}

std::int64_t values_of(const UpdateRunSnapshot& snapshot) {
  return static_cast<std::int64_t>(snapshot.assign().size() + snapshot.modify_sets().size() + snapshot.append().size());
}

bool apply_snapshot(Run& run, const UpdateRunSnapshot& snapshot, const std::vector<RejectRule>& rules, Counts& counts) {
  bool stored = false;
  const auto take = [&](const std::string& path, auto check, auto store) {
    auto code = rejected_by(rules, path);
    if (code == IngestCode::ok) code = check_path(path);
    if (code == IngestCode::ok) code = check();
    if (code == IngestCode::ok) code = store();
    ++counts[code];
    stored = stored || code == IngestCode::ok;
  };
  for (const auto& [path, value] : snapshot.assign())
    take(path, [&] { return check_value(value); }, [&] { return assign(run.fields, path, value); });
  for (const auto& [path, change] : snapshot.modify_sets())
    take(path, [] { return IngestCode::ok; }, [&] { return modify_set(run.fields, path, change); });
  if (snapshot.append().empty()) return stored;
  const auto place = place_of(run, snapshot);
  for (const auto& [path, value] : snapshot.append())
    take(
        path, [&] { return place.code != IngestCode::ok ? place.code : check_value(value); },
        [&] { return append(run.fields, path, place, value); });
  return stored;
}

bool valid_run_id(const std::string& run_id) {
  return !run_id.empty() && run_id.size() <= limits::run_id_bytes && run_id.find('/') == std::string::npos;
}

bool valid_project_name(const ProjectName& name) {
  // Characters, not bytes: continuation bytes of UTF-8 do not count.
  const auto characters = static_cast<std::size_t>(std::count_if(
      name.project.begin(), name.project.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  const bool four_bytes = std::any_of(name.project.begin(), name.project.end(),
                                      [](char c) { return static_cast<unsigned char>(c) >= 0xF0; });
  return characters >= limits::project_name_min && characters <= limits::project_name_max && !four_bytes &&
         name.project.find_first_of("/\\#?%:") == std::string::npos;
}

IngestCode create_run(Store& store, Project& project, const std::string& run_id, const ingest::v1::Run& create) {
  if (!valid_run_id(run_id) || create.experiment_id().size() > limits::run_id_bytes)
    return IngestCode::run_invalid_creation_parameters;
  if (create.has_run_id() && create.run_id() != run_id) return IngestCode::run_invalid_creation_parameters;
  std::optional<ForkPoint> fork;
  if (create.has_fork_point()) {
    const auto& from = create.fork_point();
    fork = ForkPoint{project.name, from.parent_run_id(), 0};
    if (!from.parent_project().empty()) {
      auto parent = ProjectName::parse(from.parent_project());
      if (!parent) return IngestCode::run_invalid_creation_parameters;
      fork->project = std::move(*parent);
    }
    if (check_step(from.step()) != IngestCode::ok) return IngestCode::run_invalid_creation_parameters;
    fork->step = micro_step(from.step());
  }
  const auto existing = project.runs.find(run_id);
  if (existing != project.runs.end())
    return existing->second.fork == fork ? IngestCode::run_duplicate : IngestCode::run_conflicting;
  if (fork && store.run(fork->project, fork->run) == nullptr) return IngestCode::run_fork_parent_not_found;
  auto& run = store.add_run(project, run_id);
  run.experiment = create.experiment_id();
  if (create.has_creation_time()) run.created_ms = create.creation_time().seconds() * 1000;
  run.fork = std::move(fork);
  return IngestCode::ok;
}

}  // namespace neptune::sandbox
