#include "changes/impl/run_json.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <unordered_set>

#include "changes/impl/values.h"
#include "changes/limits.h"
#include "proto/ingest.pb.h"

namespace neptune::changes {

namespace {

namespace pb = ingest::v1;

/// The same change gives the same bytes: maps are written sorted.
std::string serialize(const google::protobuf::MessageLite& message) {
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return out;
}

void fill(pb::Timestamp& out, Moment moment) {
  out.set_seconds(moment.seconds);
  out.set_nanos(moment.nanos);
}

void fill(pb::Step& out, Step step) {
  out.set_whole(step.whole);
  out.set_micro(step.micro);
}

struct Fill {
  pb::Value& out;

  void operator()(double value) { out.set_float64(value); }
  void operator()(std::int64_t value) { out.set_int64(value); }
  void operator()(bool value) { out.set_bool_(value); }
  void operator()(const std::string& value) { out.set_string(value); }
  void operator()(Moment value) { fill(*out.mutable_timestamp(), value); }
  void operator()(const StringSet& value) {
    auto& values = *out.mutable_string_set()->mutable_values();
    values.Add(value.values.begin(), value.values.end());
  }
  void operator()(const Histogram& value) {
    auto& histogram = *out.mutable_histogram();
    histogram.mutable_bin_edges()->Add(value.edges.begin(), value.edges.end());
    if (value.densities.empty())
      histogram.mutable_counts()->mutable_values()->Add(value.counts.begin(), value.counts.end());
    else
      histogram.mutable_densities()->mutable_values()->Add(value.densities.begin(), value.densities.end());
  }
};

ContainerName read_run(Fields& fields) {
  ContainerName run{.project = read_project(fields), .id = fields.required_text("run"), .kind = ContainerKind::run};
  check_run_id(run.id, fields.path("run"), fields.verdict());
  return run;
}

void read_fork(const Json& json, const ContainerName& run, pb::Run& message, RunOperation& out, Verdict& verdict) {
  Fields fork(json, "fork.", verdict);
  fork.only({"run", "step"});
  const auto parent = fork.required_text("run");
  check_run_id(parent, fork.path("run"), verdict);
  if (parent == run.id)
    verdict.refuse("fork_of_itself",
                   fmt::format("The run {} cannot be a fork of itself; name its parent.", quoted(parent)),
                   fork.path("run"));
  if (!fork.find("step"))
    verdict.refuse("missing_field", "'fork.step' is missing; give the parent's step that the fork goes on from.",
                   fork.path("step"));
  out.fork_parent = ContainerName{run.project, parent, ContainerKind::run};
  auto& point = *message.mutable_fork_point();
  point.set_parent_project(run.project.full());
  point.set_parent_run_id(parent);
  fill(*point.mutable_step(), fork.step("step").value_or(Step{}));
}

void refuse_if_in_both(const std::unordered_set<std::string>& taken, const std::string& path, std::string_view there,
                       const std::string& field, Verdict& verdict) {
  if (taken.contains(path))
    verdict.refuse("conflicting_fields",
                   fmt::format("The field {} is in '{}' too; a field is one or the other.", quoted(path), there),
                   field);
}

void read_assign(const Json& section, pb::UpdateRunSnapshot& message, std::unordered_set<std::string>& taken,
                 Verdict& verdict) {
  each_field(
      section, "assign", is_typed,
      [&](const std::string& path, const Json& json, const std::string& field) {
        taken.insert(path);
        const auto value = read_value(json, Numbers::as_written, field, verdict);
        if (std::holds_alternative<Histogram>(value))
          verdict.refuse("not_an_attribute_type",
                         fmt::format("{} cannot be assigned a histogram: histograms are points of a series; use "
                                     "'append'.",
                                     quoted(path)),
                         field);
        std::visit(Fill{(*message.mutable_assign())[path]}, value);
      },
      verdict);
}

void read_append(const Json& section, pb::UpdateRunSnapshot& message, std::unordered_set<std::string>& taken,
                 Verdict& verdict) {
  each_field(
      section, "append", is_point,
      [&](const std::string& path, const Json& json, const std::string& field) {
        refuse_if_in_both(taken, path, "assign", field, verdict);
        if (is_point(json)) refuse_unknown_in_point(json, {"value", "type"}, field, verdict);
        const auto value = read_value(json, Numbers::floats, field, verdict);
        if (!std::holds_alternative<double>(value) && !std::holds_alternative<std::string>(value) &&
            !std::holds_alternative<Histogram>(value))
          verdict.refuse("not_a_series_type",
                         fmt::format("{} cannot be appended to: a series holds floats, strings or histograms; use "
                                     "'assign' for other values.",
                                     quoted(path)),
                         field);
        std::visit(Fill{(*message.mutable_append())[path]}, value);
      },
      verdict);
  for (const auto& [path, value] : message.append()) taken.insert(path);
}

/// A change of a set: an object with "add", "remove" or both, and nothing else.
bool is_set_change(const Json& value) {
  for (const auto& member : value.members)
    if (!member.value.is(Json::Type::object)) return true;
  return false;
}

void read_tags(const Json& section, pb::UpdateRunSnapshot& message, const std::unordered_set<std::string>& taken,
               Verdict& verdict) {
  each_field(
      section, "tags", is_set_change,
      [&](const std::string& path, const Json& json, const std::string& field) {
        refuse_if_in_both(taken, path, "assign' or 'append", field, verdict);
        if (!json.is(Json::Type::object))
          return verdict.refuse(
              "wrong_type",
              fmt::format("'{}' is {}; give {{\"add\": [..], \"remove\": [..]}}.", field, describe(json.type)), field);
        Fields fields(json, field + ".", verdict);
        fields.only({"add", "remove"});
        auto& values = *(*message.mutable_modify_sets())[path].mutable_string()->mutable_values();
        for (const bool add : {true, false}) {
          const auto* list = fields.find(add ? "add" : "remove");
          if (!list) continue;
          const auto where = fields.path(add ? "add" : "remove");
          for (const auto& tag : read_texts(*list, where, verdict)) {
            check_string(tag, where, verdict);
            if (!add && values.contains(tag))
              verdict.refuse("conflicting_fields", fmt::format("{} is both added and removed; keep one.", quoted(tag)),
                             where);
            values[tag] = add ? pb::SET_OPERATION_ADD : pb::SET_OPERATION_REMOVE;
          }
        }
      },
      verdict);
}

void read_preview(const Json& json, pb::UpdateRunSnapshot& message, Verdict& verdict) {
  double ratio = 0;
  if (json.is(Json::Type::object)) {
    Fields fields(json, "preview.", verdict);
    fields.only({"completion_ratio"});
    ratio = read_double(fields.require("completion_ratio", Json::Type::number), "preview.completion_ratio", verdict)
                .value_or(0);
  } else if (!json.is(Json::Type::boolean)) {
    verdict.refuse("wrong_type",
                   fmt::format("'preview' is {}; give true or {{\"completion_ratio\": 0.5}}.", describe(json.type)),
                   "preview");
  } else if (!json.truth) {
    return;
  }
  if (ratio < 0 || ratio > 1)
    verdict.refuse("completion_ratio", fmt::format("A completion ratio of {} cannot be; it is 0 to 1.", ratio),
                   "preview.completion_ratio");
  message.mutable_preview()->set_is_preview(true);
  message.mutable_preview()->set_completion_ratio(static_cast<float>(ratio));
}

}  // namespace

RunOperation read_run_create(Fields& fields, const ChangeFacts& facts) {
  auto& verdict = fields.verdict();
  fields.only({"project", "run", "experiment", "fork", "created_at"});
  RunOperation out{.run = read_run(fields)};
  // As the official client fills it in: the request carries the run's id, and the family is the run's own.
  pb::Run message;
  message.set_family(out.run.id);
  fill(*message.mutable_creation_time(), fields.moment("created_at").value_or(Moment::from_ms(facts.accepted_ms)));
  if (const auto experiment = fields.text("experiment")) {
    check_experiment(*experiment, fields.path("experiment"), verdict);
    message.set_experiment_id(*experiment);
  }
  if (const auto* fork = fields.optional("fork", Json::Type::object)) read_fork(*fork, out.run, message, out, verdict);
  if (verdict.ok()) out.bytes = serialize(message);
  return out;
}

RunOperation read_run_update(Fields& fields, const ChangeFacts& facts) {
  auto& verdict = fields.verdict();
  fields.only({"project", "run", "step", "timestamp", "assign", "append", "tags", "preview"});
  RunOperation out{.run = read_run(fields)};
  pb::UpdateRunSnapshot message;
  std::unordered_set<std::string> taken;
  const auto* assign = fields.optional("assign", Json::Type::object);
  const auto* append = fields.optional("append", Json::Type::object);
  const auto* tags = fields.optional("tags", Json::Type::object);
  const auto* preview = fields.find("preview");
  const auto step = fields.step("step");
  if (!assign && !append && !tags)
    verdict.refuse("empty_change", "The update changes nothing; give assign, append or tags.", "");
  if (append && !step)
    verdict.refuse("missing_field", "'step' is missing; 'append' puts a point at a step.", fields.path("step"));
  if (step && !append)
    verdict.refuse("step_without_append",
                   "'step' says where 'append' puts its points, and there is no 'append'; leave "
                   "it out.",
                   fields.path("step"));
  if (preview && !append)
    verdict.refuse("preview_without_append",
                   "'preview' is of the points in 'append', and there is no 'append'; leave "
                   "it out.",
                   fields.path("preview"));
  if (step) fill(*message.mutable_step(), *step);
  fill(*message.mutable_timestamp(), fields.moment("timestamp").value_or(Moment::from_ms(facts.accepted_ms)));
  if (assign) read_assign(*assign, message, taken, verdict);
  if (append) read_append(*append, message, taken, verdict);
  if (tags) read_tags(*tags, message, taken, verdict);
  if (preview) read_preview(*preview, message, verdict);
  if (verdict.ok()) out.bytes = serialize(message);
  if (out.bytes.size() > limits::snapshot_bytes)
    verdict.refuse("change_too_large",
                   fmt::format("The update takes {} bytes, and {} are allowed; split it into several.",
                               out.bytes.size(), limits::snapshot_bytes),
                   "", Refusal::Kind::too_large);
  return out;
}

}  // namespace neptune::changes
