#include "tests/sandbox/operations.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "changes/limits.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

constexpr auto inconsistent = "metadata_inconsistency";
constexpr auto bad_series_value = "logSeriesValueError";

/// What is being done to which attribute. Failing throws an OperationError.
struct Target {
  Container& container;
  const std::string& path;
  bool increasing_steps;

  [[noreturn]] void fail(const char* type, const std::string& what) const {
    throw OperationError{type, "attribute " + path + ": " + what};
  }

  /// The attribute, which must be there.
  const Field& as_stored() const {
    const auto at = container.fields.find(path);
    if (at == container.fields.end()) fail(inconsistent, "it does not exist");
    return at->second;
  }

  /// The attribute as that type; made when it is missing.
  template <class T>
  T& as() const {
    auto at = container.fields.find(path);
    if (at == container.fields.end()) at = container.fields.emplace(path, T()).first;
    auto* value = std::get_if<T>(&at->second);
    if (value == nullptr) fail(inconsistent, "it is of another type");
    return *value;
  }
};

using Body = json::object;
using Apply = std::function<void(const Target&, const Body&)>;

const json::value& member(const Target& target, const Body& body, std::string_view key) {
  const auto* value = body.if_contains(key);
  if (value == nullptr) target.fail(inconsistent, fmt::format("'{}' is missing", key));
  return *value;
}

template <class T>
T number(const Target& target, const json::value& value, const char* error_type) {
  json::error_code error;
  const auto out = value.to_number<T>(error);
  if (error) target.fail(error_type, json::serialize(value) + " is not a number that fits");
  return out;
}

std::string text(const Target& target, const json::value& value) {
  if (!value.is_string()) target.fail(inconsistent, json::serialize(value) + " is not a string");
  return std::string(value.get_string());
}

const json::array& list(const Target& target, const Body& body, std::string_view key) {
  const auto& value = member(target, body, key);
  if (!value.is_array()) target.fail(inconsistent, fmt::format("'{}' is not an array", key));
  return value.get_array();
}

void assign_float(const Target& target, const Body& body) {
  const auto value = number<double>(target, member(target, body, "value"), "assignFloatValueError");
  if (!std::isfinite(value)) target.fail("assignFloatValueError", "the value is not finite");
  target.as<double>() = value;
}

void assign_int(const Target& target, const Body& body) {
  target.as<std::int64_t>() = number<std::int64_t>(target, member(target, body, "value"), inconsistent);
}

void assign_bool(const Target& target, const Body& body) {
  const auto& value = member(target, body, "value");
  if (!value.is_bool()) target.fail(inconsistent, "the value is not true or false");
  target.as<bool>() = value.get_bool();
}

void assign_string(const Target& target, const Body& body) {
  target.as<std::string>() = text(target, member(target, body, "value"));
}

void assign_datetime(const Target& target, const Body& body) {
  const auto ms = number<std::int64_t>(target, member(target, body, "valueMilliseconds"), inconsistent);
  const auto seconds = ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000);
  target.as<Datetime>() = Datetime{seconds, static_cast<std::int32_t>(ms - seconds * 1000) * 1'000'000};
}

/// Millionths; none where the entry does not say.
std::optional<std::uint64_t> step_of(const Target& target, const Body& entry) {
  const auto* given = entry.if_contains("step");
  if (given == nullptr || given->is_null()) return std::nullopt;
  const auto step = number<double>(target, *given, bad_series_value);
  if (!(step >= 0 && step < static_cast<double>(limits::step_whole)))
    target.fail(bad_series_value, fmt::format("step {} is out of range", step));
  return static_cast<std::uint64_t>(std::llround(step * limits::step_micro));
}

std::int64_t time_of(const Target& target, const Body& entry) {
  const auto* given = entry.if_contains("timestampMilliseconds");
  return given == nullptr ? 0 : time_ns_of(number<std::int64_t>(target, *given, bad_series_value), 1'000'000);
}

template <class T>
struct Logged {
  std::optional<std::uint64_t> step;
  T value;
  std::int64_t time_ns = 0;
};

template <class T>
void store_points(const Target& target, std::vector<Logged<T>> points) {
  auto& series = target.as<Series<T>>();
  std::string refused;
  for (auto& [given, value, time_ns] : points) {
    const auto& stored = series.points();
    const auto step = given.value_or(stored.empty() ? 0 : stored.back().step + limits::step_micro);
    if (target.increasing_steps && !stored.empty() && step <= stored.back().step)
      refused = fmt::format("step {} does not come after the last one", static_cast<double>(step) / 1e6);
    else
      series.push({step, std::move(value), time_ns});
  }
  if (!refused.empty()) target.fail(bad_series_value, refused);
}

template <class T>
Apply log(T (*value_of)(const Target&, const json::value&)) {
  return [value_of](const Target& target, const Body& body) {
    std::vector<Logged<T>> points;
    for (const auto& entry : list(target, body, "entries")) {
      if (!entry.is_object()) target.fail(bad_series_value, "an entry is not an object");
      const auto& object = entry.get_object();
      points.push_back(
          {step_of(target, object), value_of(target, member(target, object, "value")), time_of(target, object)});
    }
    store_points(target, std::move(points));
  };
}

double float_point(const Target& target, const json::value& value) {
  const auto point = number<double>(target, value, bad_series_value);
  if (!std::isfinite(point)) target.fail(bad_series_value, "a value is not finite");
  return point;
}

Image image_point(const Target& target, const json::value& value) {
  if (!value.is_object()) target.fail(bad_series_value, "an image is not an object");
  const auto& object = value.get_object();
  const auto optional = [&](std::string_view key) {
    const auto* found = object.if_contains(key);
    return found == nullptr || found->is_null() ? std::string() : text(target, *found);
  };
  return {text(target, member(target, object, "data")), optional("name"), optional("description")};
}

template <class T>
void clear_series(const Target& target, const Body&) {
  target.as<Series<T>>().clear();
}

void config_series(const Target& target, const Body& body) {
  target.as<Series<double>>();
  auto& config = target.container.series_configs[target.path];
  const auto optional = [&](std::string_view key) -> std::optional<double> {
    const auto* value = body.if_contains(key);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return number<double>(target, *value, inconsistent);
  };
  config.min = optional("min");
  config.max = optional("max");
  const auto* unit = body.if_contains("unit");
  config.unit = unit == nullptr || unit->is_null() ? std::string() : text(target, *unit);
}

void insert_strings(const Target& target, const Body& body) {
  auto& set = target.as<StringSet>();
  for (const auto& value : list(target, body, "values")) set.insert(text(target, value));
}

void remove_strings(const Target& target, const Body& body) {
  auto& set = target.as<StringSet>();
  for (const auto& value : list(target, body, "values")) set.erase(text(target, value));
}

void clear_set(const Target& target, const Body&) {
  target.as<StringSet>().clear();
}

void delete_attribute(const Target& target, const Body&) {
  target.container.series_configs.erase(target.path);
  if (target.container.fields.erase(target.path) == 0) target.fail(inconsistent, "it does not exist");
}

void delete_files(const Target& target, const Body& body) {
  const auto& paths = list(target, body, "filePaths");
  const auto* set = std::get_if<File>(&target.as_stored());
  if (set == nullptr) target.fail(inconsistent, "it is no set of files");
  for (const auto& path : paths) drop_files_of(*target.container.project, set->path + "/" + text(target, path));
}

const std::map<std::string, Apply, std::less<>>& kinds() {
  static const std::map<std::string, Apply, std::less<>> all{
      {"assignFloat", assign_float},
      {"assignInt", assign_int},
      {"assignBool", assign_bool},
      {"assignString", assign_string},
      {"assignDatetime", assign_datetime},
      {"logFloats", log<double>(float_point)},
      {"logStrings", log<std::string>(text)},
      {"logImages", log<Image>(image_point)},
      {"clearFloatSeries", clear_series<double>},
      {"clearStringSeries", clear_series<std::string>},
      {"clearImageSeries", clear_series<Image>},
      {"configFloatSeries", config_series},
      {"insertStrings", insert_strings},
      {"removeStrings", remove_strings},
      {"clearStringSet", clear_set},
      {"deleteAttribute", delete_attribute},
      {"deleteFiles", delete_files},
  };
  return all;
}

void check_writable(const Target& target, const std::vector<RejectRule>& rules) {
  auto code = rejected_by(rules, target.path);
  if (code == IngestCode::ok) code = check_path(target.path);
  if (code != IngestCode::ok) target.fail(inconsistent, std::string(name(code)));
}

}  // namespace

OperationError apply_operation(Container& container, const json::value& operation, const std::vector<RejectRule>& rules,
                               bool increasing_steps) {
  if (!operation.is_object()) return {inconsistent, "an operation must be an object"};
  const auto& object = operation.get_object();
  const auto* given = object.if_contains("path");
  const std::string path(given != nullptr && given->is_string() ? given->get_string() : json::string());
  const Target target{container, path, increasing_steps};
  try {
    check_writable(target, rules);
    for (const auto& [key, body] : object) {
      if (key == "path" || body.is_null()) continue;
      const auto kind = kinds().find(std::string_view(key.data(), key.size()));
      if (kind == kinds().end()) target.fail(inconsistent, "there is no operation " + std::string(key));
      if (!body.is_object()) target.fail(inconsistent, std::string(key) + " must be an object");
      kind->second(target, body.get_object());
      return {};
    }
    target.fail(inconsistent, "the operation says nothing to do");
  } catch (const OperationError& error) {
    return error;
  }
}

}  // namespace neptune::sandbox
