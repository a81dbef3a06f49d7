#include "changes/attributes.h"

#include <fmt/format.h>

#include "changes/impl/attributes_json.h"
#include "changes/impl/operations.h"
#include "changes/impl/stored.h"

namespace neptune {

namespace changes {

namespace {

struct Assignment {
  std::vector<AttributeOperation>& out;
  const std::string& path;

  void add(std::string op, std::string value) {
    out.push_back({path, std::move(op), "{\"value\":" + std::move(value) + "}", {}});
  }

  void operator()(double value) {
    std::string digits;
    append_json_double(digits, value);
    add("assignFloat", std::move(digits));
  }
  void operator()(std::int64_t value) { add("assignInt", std::to_string(value)); }
  void operator()(bool value) { add("assignBool", value ? "true" : "false"); }
  void operator()(const std::string& value) {
    std::string text;
    append_json_string(text, value);
    add("assignString", std::move(text));
  }
  void operator()(Moment value) {
    out.push_back({path, "assignDatetime", fmt::format("{{\"valueMilliseconds\":{}}}", value.ms()), {}});
  }
  void operator()(const StringSet& value) {
    out.push_back({path, "clearStringSet", "{}", {}});
    if (!value.values.empty()) out.push_back(strings_operation(path, "insertStrings", value.values));
  }
  void operator()(const Histogram&) {}  // nothing holds one: refused at the door
};

std::string clear_word(std::string_view what) {
  if (what == "float_series") return "clearFloatSeries";
  if (what == "string_series") return "clearStringSeries";
  if (what == "image_series") return "clearImageSeries";
  return "clearStringSet";
}

std::string range_body(const SeriesRange& range) {
  std::string body;
  JsonObject out(body);
  if (range.min) append_json_double(out.member("min"), *range.min);
  if (range.max) append_json_double(out.member("max"), *range.max);
  out.text_if("unit", range.unit);
  out.end();
  return body;
}

std::vector<AttributeOperation> operations(const AttributesChange& change, std::int64_t at_ms) {
  std::vector<AttributeOperation> out;
  for (const auto& path : change.deleted) out.push_back({path, "deleteAttribute", "{}", {}});
  for (const auto& [path, what] : change.clear) out.push_back({path, clear_word(what), "{}", {}});
  for (const auto& [path, range] : change.configure) out.push_back({path, "configFloatSeries", range_body(range), {}});
  for (const auto& [path, value] : change.assign) append_assignment(out, path, value);
  for (const auto& [path, values] : change.remove) out.push_back(strings_operation(path, "removeStrings", values));
  for (const auto& [path, values] : change.insert) out.push_back(strings_operation(path, "insertStrings", values));
  for (const auto& [path, entries] : change.append)
    for (const auto& entry : entries)
      out.push_back(point_operation(path, entry.value, entry.step, entry.at ? entry.at->ms() : at_ms));
  return out;
}

}  // namespace

AttributeOperation point_operation(std::string path, const std::variant<double, std::string>& value,
                                   std::optional<Step> step, std::int64_t at_ms) {
  const auto* text = std::get_if<std::string>(&value);
  AttributeOperation out{std::move(path), text ? "logStrings" : "logFloats", std::string(entry_head),
                         SeriesPoint{.text = text != nullptr}};
  out.body += "\"value\":";
  if (text)
    append_json_string(out.body, *text);
  else
    append_json_double(out.body, std::get<double>(value));
  if (step) {
    out.point->step = step->number();
    out.body += ",\"step\":" + step->text();
  }
  out.body += fmt::format(",\"timestampMilliseconds\":{}}}]}}", at_ms);
  return out;
}

AttributeOperation strings_operation(std::string path, std::string op, const std::vector<std::string>& values) {
  std::string body;
  JsonObject out(body);
  out.texts("values", values);
  out.end();
  return {std::move(path), std::move(op), std::move(body), {}};
}

void append_assignment(std::vector<AttributeOperation>& out, const std::string& path, const Value& value) {
  std::visit(Assignment{out, path}, value);
}

}  // namespace changes

Result<std::vector<AttributeOperation>> read_attributes(std::string_view payload, std::int64_t at_ms) {
  auto stored = changes::read_stored(payload);
  if (!stored) return std::unexpected(stored.error());
  switch (stored->kind) {
    case ChangeKind::model_update:
    case ChangeKind::model_version_update:
    case ChangeKind::project_metadata:
      break;
    default:
      return fail("not_metadata", fmt::format("A queued {} is no update of a model's or a project's metadata; this is "
                                              "a defect of the daemon, please report it.",
                                              name(stored->kind)));
  }
  changes::Verdict verdict;
  changes::Fields fields(stored->json, "", verdict);
  const auto change = changes::read_attributes(stored->kind, fields);
  if (!verdict.ok()) return changes::unreadable(*verdict.refusal());
  return changes::operations(change, at_ms);
}

void set_step(AttributeOperation& operation, double step) {
  if (!operation.point || operation.point->step) return;
  std::string member = "\"step\":";
  changes::append_json_double(member, step);
  operation.body.insert(changes::entry_head.size(), member + ",");
  operation.point->step = step;
}

}  // namespace neptune
