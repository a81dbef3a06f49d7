#include "changes/impl/attributes_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "changes/limits.h"

namespace neptune::changes {

namespace {

const std::vector<std::string_view> kClearable{"float_series", "string_series", "image_series", "string_set"};

bool never(const Json&) {
  return false;
}

bool has_value(const Json& value) {
  return value.find("value") != nullptr;
}

bool is_range(const Json& value) {
  return std::none_of(value.members.begin(), value.members.end(),
                      [](const JsonMember& member) { return member.value.is(Json::Type::object); });
}

ContainerName read_container(ChangeKind kind, Fields& fields) {
  ContainerName out;
  out.project = read_project(fields);
  switch (kind) {
    case ChangeKind::model_update:
      out.kind = ContainerKind::model;
      out.id = fields.required_text("model");
      check_model_id(out.id, fields.path("model"), fields.verdict());
      break;
    case ChangeKind::model_version_update:
      out.kind = ContainerKind::model_version;
      out.id = fields.required_text("model_version");
      check_model_version_id(out.id, fields.path("model_version"), fields.verdict());
      break;
    default:
      out.kind = ContainerKind::project;
  }
  return out;
}

SeriesEntry read_entry(const Json& json, const std::string& field, Verdict& verdict) {
  SeriesEntry out;
  const bool wrapped = json.is(Json::Type::object) && !is_typed(json);
  const Json* value = &json;
  if (wrapped) {
    Fields fields(json, field + ".", verdict);
    refuse_unknown_in_point(json, {"value", "step", "timestamp"}, field, verdict);
    out.step = fields.step("step");
    out.at = fields.moment("timestamp");
    value = fields.find("value");
    if (!value) {
      verdict.refuse("missing_field", fmt::format("'{}' has no 'value'; give one.", field), fields.path("value"));
      return out;
    }
  }
  auto read = read_value(*value, Numbers::floats, field, verdict);
  if (auto* number = std::get_if<double>(&read))
    out.value = *number;
  else if (auto* text = std::get_if<std::string>(&read))
    out.value = std::move(*text);
  else
    verdict.refuse("not_a_series_type",
                   fmt::format("'{}' cannot be appended: a series of a model or project holds floats or strings; use "
                               "'assign' for other values.",
                               field),
                   field);
  return out;
}

/// One series takes values of one type, and says the step of each or of none; steps grow.
void check_series(const std::vector<SeriesEntry>& entries, const std::string& field, Verdict& verdict) {
  for (std::size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].value.index() != entries[0].value.index())
      return verdict.refuse("mixed_series",
                            fmt::format("'{}' holds numbers and strings; a series is of one of them.", field), field);
    if (entries[i].step.has_value() != entries[0].step.has_value())
      return verdict.refuse("mixed_steps",
                            fmt::format("'{}' gives a step to some points only; give it to all or to none.", field),
                            field);
    if (entries[i].step && *entries[i].step <= *entries[i - 1].step)
      return verdict.refuse("step_not_increasing",
                            fmt::format("The step {} comes after {}; steps of a series must grow.",
                                        entries[i].step->text(), entries[i - 1].step->text()),
                            field);
  }
}

std::vector<SeriesEntry> read_series(const Json& json, const std::string& field, Verdict& verdict) {
  std::vector<SeriesEntry> out;
  if (!json.is(Json::Type::array)) {
    out.push_back(read_entry(json, field, verdict));
    return out;
  }
  if (json.members.empty())
    verdict.refuse("empty_list", fmt::format("'{}' is an empty array; give at least one value.", field), field);
  for (const auto& item : json.members) out.push_back(read_entry(item.value, field, verdict));
  check_series(out, field, verdict);
  return out;
}

Value read_assigned(const Json& json, const std::string& field, Verdict& verdict) {
  auto value = read_value(json, Numbers::as_written, field, verdict);
  if (std::holds_alternative<Histogram>(value))
    verdict.refuse("unsupported_type",
                   fmt::format("'{}' is a histogram; models and projects take none, only runs do.", field), field);
  return value;
}

SeriesRange read_range(const Json& json, const std::string& field, Verdict& verdict) {
  SeriesRange out;
  if (!json.is(Json::Type::object)) {
    verdict.refuse(
        "wrong_type",
        fmt::format("'{}' is {}; give {{\"min\": .., \"max\": .., \"unit\": ..}}.", field, describe(json.type)), field);
    return out;
  }
  Fields fields(json, field + ".", verdict);
  fields.only({"min", "max", "unit"});
  if (const auto* min = fields.find("min")) out.min = read_double(*min, fields.path("min"), verdict);
  if (const auto* max = fields.find("max")) out.max = read_double(*max, fields.path("max"), verdict);
  out.unit = fields.text("unit");
  if (out.unit) check_string(*out.unit, fields.path("unit"), verdict);
  if (out.min && out.max && *out.min > *out.max)
    verdict.refuse("invalid_range", fmt::format("'{}' has a min above its max; exchange them.", field), field);
  return out;
}

std::string read_clear(const Json& json, const std::string& field, Verdict& verdict) {
  if (!json.is(Json::Type::string) || std::find(kClearable.begin(), kClearable.end(), json.text) == kClearable.end())
    verdict.refuse("unknown_type",
                   fmt::format("'{}' does not say what is cleared; write float_series, string_series, image_series or "
                               "string_set.",
                               field),
                   field);
  return json.text;
}

std::vector<std::string> read_strings(const Json& json, const std::string& field, Verdict& verdict) {
  auto out = read_texts(json, field, verdict);
  for (const auto& each : out) check_string(each, field, verdict);
  return out;
}

template <class T>
void read_section(Fields& fields, std::string_view name, bool (*is_leaf)(const Json&),
                  T (*read)(const Json&, const std::string&, Verdict&), ByPath<T>& out) {
  const auto* section = fields.optional(name, Json::Type::object);
  if (!section) return;
  auto& verdict = fields.verdict();
  each_field(
      *section, std::string(name), is_leaf,
      [&](const std::string& path, const Json& json, const std::string& field) {
        out.emplace_back(path, read(json, field, verdict));
      },
      verdict);
}

template <class T>
void note_paths(const ByPath<T>& section, std::unordered_set<std::string_view>& paths) {
  for (const auto& [path, value] : section) paths.insert(path);
}

void refuse_inserted_and_removed(const AttributesChange& change, Verdict& verdict) {
  std::unordered_map<std::string_view, std::unordered_set<std::string_view>> inserted;
  for (const auto& [path, values] : change.insert) inserted[path].insert(values.begin(), values.end());
  for (const auto& [path, values] : change.remove) {
    const auto there = inserted.find(path);
    if (there == inserted.end()) continue;
    for (const auto& value : values)
      if (there->second.contains(value))
        return verdict.refuse("conflicting_fields",
                              fmt::format("{} is both inserted and removed; keep one.", quoted(value)),
                              "remove." + path);
  }
}

void refuse_overlap(const AttributesChange& change, Verdict& verdict) {
  std::unordered_set<std::string_view> assigned, sets;
  note_paths(change.assign, assigned);
  note_paths(change.insert, sets);
  note_paths(change.remove, sets);
  const auto refuse = [&verdict](const std::string& path, std::string_view section, std::string_view there) {
    verdict.refuse("conflicting_fields",
                   fmt::format("The field {} is in '{}' too; a field is one or the other.", quoted(path), there),
                   fmt::format("{}.{}", section, path));
  };
  for (const auto& [path, values] : change.append) {
    if (assigned.contains(path)) refuse(path, "append", "assign");
    if (sets.contains(path)) refuse(path, "append", "insert' or 'remove");
  }
  for (const auto& [path, values] : change.insert)
    if (assigned.contains(path)) refuse(path, "insert", "assign");
  for (const auto& [path, values] : change.remove)
    if (assigned.contains(path)) refuse(path, "remove", "assign");
  refuse_inserted_and_removed(change, verdict);
}

struct WriteValue {
  std::string& out;

  void operator()(double value) { append_json_double(out, value); }
  void operator()(std::int64_t value) { out += std::to_string(value); }
  void operator()(bool value) { out += value ? "true" : "false"; }
  void operator()(const std::string& value) { append_json_string(out, value); }
  void operator()(Moment value) {
    JsonObject typed(out);
    typed.text("type", "datetime");
    typed.number("value", value.ms());
    typed.end();
  }
  void operator()(const StringSet& value) {
    JsonObject typed(out);
    typed.text("type", "string_set");
    typed.texts("value", value.values);
    typed.end();
  }
  void operator()(const Histogram&) {}  // refused when it was read
};

void write_entry(std::string& out, const SeriesEntry& entry) {
  JsonObject object(out);
  std::visit(WriteValue{object.member("value")}, entry.value);
  if (entry.step) object.member("step") += entry.step->text();
  if (entry.at) object.number("timestamp", entry.at->ms());
  object.end();
}

void write_series(std::string& out, const std::vector<SeriesEntry>& entries) {
  out += '[';
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out += ',';
    write_entry(out, entries[i]);
  }
  out += ']';
}

void write_range(std::string& out, const SeriesRange& range) {
  JsonObject object(out);
  if (range.min) append_json_double(object.member("min"), *range.min);
  if (range.max) append_json_double(object.member("max"), *range.max);
  object.text_if("unit", range.unit);
  object.end();
}

template <class T, class Writer>
void write_section(JsonObject& object, std::string_view name, const ByPath<T>& section, Writer write) {
  if (section.empty()) return;
  auto& out = object.member(name);
  JsonObject fields(out);
  for (const auto& [path, value] : section) write(fields, path, value);
  fields.end();
}

}  // namespace

AttributesChange read_attributes(ChangeKind kind, Fields& fields) {
  auto& verdict = fields.verdict();
  std::vector<std::string_view> known{"project", "assign", "append", "insert",
                                      "remove",  "delete", "clear",  "configure"};
  if (kind == ChangeKind::model_update) known.push_back("model");
  if (kind == ChangeKind::model_version_update) known.push_back("model_version");
  fields.only(known);
  AttributesChange out{.container = read_container(kind, fields)};
  if (const auto* deleted = fields.find("delete")) {
    out.deleted = read_texts(*deleted, fields.path("delete"), verdict);
    for (const auto& path : out.deleted) check_field_path(path, fields.path("delete"), verdict);
  }
  read_section(fields, "clear", never, read_clear, out.clear);
  read_section(fields, "configure", is_range, read_range, out.configure);
  read_section(fields, "assign", is_typed, read_assigned, out.assign);
  read_section(fields, "remove", never, read_strings, out.remove);
  read_section(fields, "insert", never, read_strings, out.insert);
  read_section(fields, "append", has_value, read_series, out.append);
  refuse_overlap(out, verdict);
  if (out.deleted.empty() && out.clear.empty() && out.configure.empty() && out.assign.empty() && out.remove.empty() &&
      out.insert.empty() && out.append.empty())
    verdict.refuse("empty_change",
                   "The update changes nothing; give assign, append, insert, remove, delete, clear or configure.", "");
  return out;
}

std::string attributes_json(ChangeKind kind, const AttributesChange& change) {
  std::string text;
  JsonObject out(text);
  out.text("kind", name(kind));
  out.text("project", change.container.project.full());
  if (change.container.kind == ContainerKind::model) out.text("model", change.container.id);
  if (change.container.kind == ContainerKind::model_version) out.text("model_version", change.container.id);
  if (!change.deleted.empty()) out.texts("delete", change.deleted);
  const auto texts = [](JsonObject& fields, const std::string& path, const std::vector<std::string>& values) {
    fields.texts(path, values);
  };
  write_section(out, "clear", change.clear,
                [](JsonObject& fields, const std::string& path, const std::string& what) { fields.text(path, what); });
  write_section(out, "configure", change.configure,
                [](JsonObject& fields, const std::string& path, const SeriesRange& range) {
                  write_range(fields.member(path), range);
                });
  write_section(out, "assign", change.assign, [](JsonObject& fields, const std::string& path, const Value& value) {
    std::visit(WriteValue{fields.member(path)}, value);
  });
  write_section(out, "remove", change.remove, texts);
  write_section(out, "insert", change.insert, texts);
  write_section(out, "append", change.append,
                [](JsonObject& fields, const std::string& path, const std::vector<SeriesEntry>& entries) {
                  write_series(fields.member(path), entries);
                });
  out.end();
  return text;
}

}  // namespace neptune::changes
