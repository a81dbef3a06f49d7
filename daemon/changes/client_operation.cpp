#include "changes/client_operation.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "changes/impl/json.h"
#include "changes/impl/moment.h"
#include "changes/impl/operations.h"

namespace neptune {

namespace {

using changes::Json;
using Type = Json::Type;

constexpr std::size_t most_values = 1'000'000;  // of one operation: our own bound, some 150 MB while it is read

struct Invalid {
  std::string what;
};

/// Throws Invalid, which does not leave this file.
class Reading {
 public:
  Reading(const Json& object, std::int64_t at_ms) : object_(object), at_ms_(at_ms), path_(read_path()) {}

  ClientOperation take() { return std::move(out_); }
  const std::string& path() const { return path_; }

  const Json& member(std::string_view name, Type type) const { return member_of(object_, name, type); }

  static const Json& member_of(const Json& object, std::string_view name, Type type) {
    const auto* found = object.find(name);
    if (!found || !found->is(type)) throw Invalid{fmt::format("its '{}' is not {}", name, changes::describe(type))};
    return *found;
  }

  /// Empty when it is absent or null.
  static std::string text(const Json& object, std::string_view name) {
    const auto* found = object.find(name);
    if (!found || found->is(Type::null)) return {};
    if (!found->is(Type::string)) throw Invalid{fmt::format("its '{}' is not a string", name)};
    return found->text;
  }
  std::string text(std::string_view name) const { return text(object_, name); }

  bool flag(std::string_view name) const {
    const auto* found = object_.find(name);
    // The client writes what it calls "reset" as a word.
    return found && (found->truth || found->text == "True");
  }

  std::vector<std::string> texts(std::string_view name) const {
    std::vector<std::string> out;
    for (const auto& item : member(name, Type::array).members) {
      if (!item.value.is(Type::string)) throw Invalid{fmt::format("its '{}' holds what is no string", name)};
      out.push_back(item.value.text);
    }
    return out;
  }

  void add(std::string op, std::string body) { out_.operations.push_back({path_, std::move(op), std::move(body), {}}); }
  void leave_out(std::string reason) { out_.left_out.push_back({path_, std::move(reason)}); }

  void assign_float() {
    const auto& value = value_member();
    if (is_not_finite(value)) return leave_out("the server takes no NaN and no infinity");
    add("assignFloat", "{\"value\":" + digits(value) + "}");
  }
  void assign_int() {
    const auto& value = value_member();
    if (!value.is_whole_number()) throw Invalid{"its value is not a whole number"};
    add("assignInt", "{\"value\":" + value.text + "}");
  }
  void assign_bool() {
    add("assignBool", member("value", Type::boolean).truth ? "{\"value\":true}" : "{\"value\":false}");
  }
  void assign_string() {
    std::string body = "{\"value\":";
    changes::append_json_string(body, member("value", Type::string).text);
    add("assignString", body + "}");
  }
  void assign_datetime() {
    const auto& value = value_member();
    if (!value.is_whole_number()) throw Invalid{"its value is not a number of milliseconds"};
    add("assignDatetime", "{\"valueMilliseconds\":" + value.text + "}");
  }

  void log_floats() {
    each_entry("logFloats", SeriesPoint{}, [this](const Json& value, std::string& body) {
      if (is_not_finite(value)) return false;
      body += digits(value);
      return true;
    });
  }
  void log_strings() {
    each_entry("logStrings", SeriesPoint{.text = true}, [](const Json& value, std::string& body) {
      if (!value.is(Type::string)) throw Invalid{"a value of its series is not a string"};
      changes::append_json_string(body, value.text);
      return true;
    });
  }
  void log_images() {
    each_entry("logImages", SeriesPoint{.image = true}, [](const Json& value, std::string& body) {
      if (!value.is(Type::object)) throw Invalid{"a value of its series is not an image"};
      changes::JsonObject image(body);
      for (const auto* name : {"data", "name", "description"})
        if (auto part = text(value, name); !part.empty() || value.find(name)) {
          if (!value.find(name)->is(Type::null)) image.text(name, part);
        }
      image.end();
      return true;
    });
  }
  void config_float_series() {
    std::string body;
    changes::JsonObject out(body);
    for (const auto* name : {"min", "max"}) {
      const auto* bound = object_.find(name);
      if (bound && !bound->is(Type::null)) out.member(name) += digits(*bound);
    }
    if (const auto unit = text("unit"); !unit.empty()) out.text("unit", unit);
    out.end();
    add("configFloatSeries", std::move(body));
  }
  void strings(std::string op, std::string_view on_disk, std::string_view on_the_wire) {
    std::string body;
    changes::JsonObject out(body);
    out.texts(on_the_wire, texts(on_disk));
    out.end();
    add(std::move(op), std::move(body));
  }

  void upload(ClientUpload upload) {
    upload.path = path_;
    out_.upload = std::move(upload);
  }
  void upload_file() {
    ClientUpload file;
    file.ext = text("ext");
    file.file_path = text("file_path");
    file.tmp_file_name = text("tmp_file_name");
    if (file.file_path.empty() && file.tmp_file_name.empty()) throw Invalid{"it names no file"};
    upload(std::move(file));
  }
  void upload_content() {
    ClientUpload content;
    content.what = ClientUpload::What::content;
    content.ext = text("ext");
    content.content = text("file_content");
    upload(std::move(content));
  }
  void upload_file_set() {
    ClientUpload set;
    set.what = ClientUpload::What::file_set;
    set.globs = texts("file_globs");
    set.reset = flag("reset");
    // The client logs an empty one for the source code of a run that has none.
    if (!set.globs.empty() || set.reset) upload(std::move(set));
  }
  void copy_attribute() {
    ClientCopy copy;
    copy.path = path_;
    copy.container_id = text("container_id");
    copy.container_kind = kind_named(text("container_type"));
    const auto* source = object_.find("source_path");
    copy.source_path = source && source->is(Type::array) ? joined(*source) : text("source_path");
    if (copy.container_id.empty() || copy.source_path.empty()) throw Invalid{"it does not say what is copied"};
    const auto type = copied_type(text("source_attr_name"));
    if (!type)
      return leave_out(fmt::format("attributes of the type '{}' cannot be copied on this server",
                                   text("source_attr_name").substr(0, 40)));
    copy.type = *type;
    out_.copy = std::move(copy);
  }
  void artifact() { leave_out("the server has no artifacts any more"); }

 private:
  static std::string joined(const Json& parts) {
    std::string path;
    for (const auto& part : parts.members) {
      if (!part.value.is(Type::string)) throw Invalid{"a part of its path is not a string"};
      if (!path.empty()) path += '/';
      path += part.value.text;
    }
    return path;
  }

  static ContainerKind kind_named(std::string_view word) {
    for (const auto kind :
         {ContainerKind::run, ContainerKind::model, ContainerKind::model_version, ContainerKind::project})
      if (word == name(kind)) return kind;
    throw Invalid{"what it copies from is of no known type"};
  }

  /// By the name of the client's class, which ended in "Attribute" once.
  static std::optional<ClientCopy::Type> copied_type(std::string_view word) {
    constexpr std::string_view old_end = "Attribute";
    if (word.ends_with(old_end)) word.remove_suffix(old_end.size());
    using Copied = ClientCopy::Type;
    if (word == "Float") return Copied::number;
    if (word == "Integer") return Copied::whole_number;
    if (word == "Boolean") return Copied::truth;
    if (word == "String") return Copied::text;
    if (word == "Datetime") return Copied::time;
    return std::nullopt;
  }

  std::string read_path() const {
    auto path = joined(member("path", Type::array));
    if (path.empty()) throw Invalid{"its path is empty"};
    return path;
  }

  const Json& value_member() const {
    const auto* value = object_.find("value");
    if (!value) throw Invalid{"it has no value"};
    return *value;
  }

  static bool is_not_finite(const Json& value) {
    return value.is(Type::string) && (value.text == "NaN" || value.text == "Infinity" || value.text == "-Infinity");
  }

  static const std::string& digits(const Json& value) {
    if (!value.is(Type::number)) throw Invalid{"a value of it is not a number"};
    return value.text;
  }

  static std::optional<double> number(const Json& object, std::string_view name) {
    const auto* found = object.find(name);
    if (!found || found->is(Type::null)) return std::nullopt;
    const auto& text = digits(*found);
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  /// `write` appends the value; false: the server takes no such value.
  template <class Write>
  void each_entry(const std::string& op, SeriesPoint point, Write write) {
    bool all = true;
    for (const auto& item : member("values", Type::array).members) {
      const auto& entry = item.value;
      if (!entry.is(Type::object)) throw Invalid{"a value of its series is not an object"};
      const auto* value = entry.find("value");
      if (!value) throw Invalid{"a value of its series is missing"};
      AttributeOperation operation{path_, op, std::string(changes::entry_head) + "\"value\":", point};
      if (!write(*value, operation.body)) {
        all = false;
        continue;
      }
      operation.point->step = number(entry, "step");
      if (operation.point->step) operation.body += ",\"step\":" + entry.find("step")->text;
      const auto ts = number(entry, "ts");
      operation.body += fmt::format(",\"timestampMilliseconds\":{}}}]}}",
                                    ts ? static_cast<std::int64_t>(std::floor(*ts * 1000)) : at_ms_);
      out_.operations.push_back(std::move(operation));
    }
    if (!all) leave_out("the server takes no NaN and no infinity");
  }

  const Json& object_;
  std::int64_t at_ms_;
  std::string path_;
  ClientOperation out_;
};

using Handler = void (*)(Reading&);

const std::map<std::string, Handler, std::less<>>& handlers() {
  static const std::map<std::string, Handler, std::less<>> all{
      {"AssignFloat", [](Reading& r) { r.assign_float(); }},
      {"AssignInt", [](Reading& r) { r.assign_int(); }},
      {"AssignBool", [](Reading& r) { r.assign_bool(); }},
      {"AssignString", [](Reading& r) { r.assign_string(); }},
      {"AssignDatetime", [](Reading& r) { r.assign_datetime(); }},
      {"LogFloats", [](Reading& r) { r.log_floats(); }},
      {"LogStrings", [](Reading& r) { r.log_strings(); }},
      {"LogImages", [](Reading& r) { r.log_images(); }},
      {"ClearFloatLog", [](Reading& r) { r.add("clearFloatSeries", "{}"); }},
      {"ClearStringLog", [](Reading& r) { r.add("clearStringSeries", "{}"); }},
      {"ClearImageLog", [](Reading& r) { r.add("clearImageSeries", "{}"); }},
      {"ConfigFloatSeries", [](Reading& r) { r.config_float_series(); }},
      {"AddStrings", [](Reading& r) { r.strings("insertStrings", "values", "values"); }},
      {"RemoveStrings", [](Reading& r) { r.strings("removeStrings", "values", "values"); }},
      {"ClearStringSet", [](Reading& r) { r.add("clearStringSet", "{}"); }},
      {"DeleteAttribute", [](Reading& r) { r.add("deleteAttribute", "{}"); }},
      {"DeleteFiles", [](Reading& r) { r.strings("deleteFiles", "file_paths", "filePaths"); }},
      {"UploadFile", [](Reading& r) { r.upload_file(); }},
      {"UploadFileContent", [](Reading& r) { r.upload_content(); }},
      {"UploadFileSet", [](Reading& r) { r.upload_file_set(); }},
      {"CopyAttribute", [](Reading& r) { r.copy_attribute(); }},
      {"AssignArtifact", [](Reading& r) { r.artifact(); }},
      {"TrackFilesToArtifact", [](Reading& r) { r.artifact(); }},
      {"ClearArtifact", [](Reading& r) { r.artifact(); }},
  };
  return all;
}

Result<ClientOperation> convert(const Json& object, std::int64_t at_ms) {
  try {
    const auto& type = Reading::member_of(object, "type", Type::string).text;
    const auto handler = handlers().find(type);
    if (handler == handlers().end())
      return fail("client_operation_unknown",
                  fmt::format("this version knows no operation '{}' of the 1.x client", type.substr(0, 100)));
    Reading reading(object, at_ms);
    handler->second(reading);
    return reading.take();
  } catch (const Invalid& invalid) {
    return fail("client_operation_invalid",
                fmt::format("it is no operation as the 1.x client writes them: {}", invalid.what));
  }
}

}  // namespace

bool may_go_alone(std::string_view json) {
  return json.find("\"UploadFile") != std::string_view::npos ||
         json.find("\"CopyAttribute\"") != std::string_view::npos;
}

Result<AttributeOperation> assignment_of_copy(const ClientCopy& copy, std::string_view properties) {
  Json object;
  const auto keep = [&object](Json&& value) {
    object = std::move(value);
    return true;
  };
  const auto read = changes::read_json(properties, keep);
  const auto* value = read ? object.find("value") : nullptr;
  using Copied = ClientCopy::Type;
  const auto assigns = [&copy](std::string op, std::string_view name, const std::string& text) {
    return AttributeOperation{copy.path, std::move(op), fmt::format("{{\"{}\":{}}}", name, text), {}};
  };
  if (value && copy.type == Copied::number && value->is(Type::number))
    return assigns("assignFloat", "value", value->text);
  if (value && copy.type == Copied::whole_number && value->is_whole_number())
    return assigns("assignInt", "value", value->text);
  if (value && copy.type == Copied::truth && value->is(Type::boolean))
    return assigns("assignBool", "value", value->truth ? "true" : "false");
  if (value && copy.type == Copied::text && value->is(Type::string)) {
    std::string text;
    changes::append_json_string(text, value->text);
    return assigns("assignString", "value", text);
  }
  if (value && copy.type == Copied::time && value->is(Type::string))
    if (const auto time = changes::parse_rfc3339(value->text))
      return assigns("assignDatetime", "valueMilliseconds", std::to_string(time->ms()));
  return fail(
      "copied_value_unreadable",
      fmt::format("the value of {} that is to be copied cannot be read from the server's answer", copy.source_path));
}

Result<ClientOperation> read_client_operation(std::string_view json, std::int64_t at_ms) {
  Json object;
  const auto read = changes::read_json(
      json,
      [&object](Json&& value) {
        object = std::move(value);
        return true;
      },
      most_values);
  if (!read)
    return fail("client_operation_invalid",
                fmt::format("it is no operation as the 1.x client writes them ({})", read.error().code));
  return convert(object, at_ms);
}

}  // namespace neptune
