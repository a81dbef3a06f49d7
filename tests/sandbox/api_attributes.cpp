// Attributes of containers: written by operations, and read.
#include "tests/sandbox/attributes.h"
#include "tests/sandbox/container_json.h"
#include "tests/sandbox/operations.h"
#include "tests/sandbox/routes.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

constexpr std::size_t operations_body_bytes = std::size_t{64} << 20;
constexpr std::int64_t read_at_once = 10'000;

Response execute(World& world, const Request& request) {
  auto& container = container_of(world, request);
  require_writable(world, container.project->name);
  const auto body = parse_body(request);
  if (!body.is_array()) refuse(400, "MALFORMED_JSON_REQUEST", "the body must be an array of operations");
  const auto& operations = body.get_array();
  if (operations.size() > world.max_operations)
    refuse(422, "TOO_MANY_OPERATIONS", "a call takes at most " + std::to_string(world.max_operations) + " operations");
  const auto rules = rules_for(world.queue.rules, container.project->name, container.key);
  json::array errors;
  for (const auto& operation : operations) {
    auto error = apply_operation(container, operation, rules, world.increasing_steps);
    if (world.nameless_errors && !error.description.empty()) error.description = "an operation cannot be applied";
    if (!error.description.empty())
      errors.push_back({{"errorType", error.type}, {"errorDescription", error.description}});
  }
  if (const auto stored = operations.size() - errors.size(); stored > 0)
    world.store.add_bytes(container, request.body.size() * stored / operations.size());
  return answer(errors);
}

/// The properties of the attribute, which must be of the type.
Response read_one(World& world, const Request& request, std::string_view type) {
  const auto& container = container_of(world, request);
  const auto& path = request.query_value("attribute");
  const Attributes attributes(container);
  const auto* field = attributes.find(path);
  if (field == nullptr) refuse_missing_attribute(request);
  if (attribute_type(*field) != type) refuse(422, "INVALID_ATTRIBUTE_TYPE", path + " is of another type");
  return answer(attribute_properties(container, path, *field));
}

template <class T>
Response read_points(World& world, const Request& request) {
  const auto& points = attribute_of<Series<T>>(world, request).points();
  auto skip = number_of(request, "offset", 0);
  const auto limit = std::min(number_of(request, "limit", read_at_once), read_at_once);
  const auto after = number_of(request, "skipToStep", -1) * 1'000'000;
  json::array values;
  for (const auto& point : points) {
    if (std::ssize(values) >= limit) break;
    if (static_cast<std::int64_t>(point.step) < after || --skip >= 0) continue;
    json::object entry{{"step", static_cast<double>(point.step) / 1e6}, {"timestampMillis", point.time_ns / 1'000'000}};
    if constexpr (std::is_same_v<T, double>) {
      entry["value"] = finite(point.value);
      entry["isPreview"] = false;
      entry["completionRatio"] = 1.0;
    } else {
      entry["value"] = point.value;
    }
    values.push_back(std::move(entry));
  }
  return answer(json::object{{"totalItemCount", points.size()}, {"values", std::move(values)}});
}

Response read_images(World& world, const Request& request) {
  return answer(json::object{{"totalItemCount", attribute_of<Series<Image>>(world, request).points().size()}});
}

Response read_all(World& world, const Request& request) {
  const auto& container = container_of(world, request);
  Paths wanted;
  if (!request.body.empty())
    if (const auto given = object_body(request); const auto* filter = given.if_contains("attributePathsFilter"))
      for (const auto& path : filter->as_array()) wanted.emplace(path.as_string());
  return answer(attributes_json(world.store, container, wanted));
}

Response ping(World& world, const Request& request) {
  container_of(world, request);
  return done();
}

}  // namespace

Container& container_of(World& world, const Request& request) {
  for (const auto* name : {"experimentId", "holderIdentifier", "experimentIdentifier"})
    if (const auto& identifier = request.query_value(name); !identifier.empty())
      return container_named(world, identifier);
  refuse(400, "INCORRECT_IDENTIFIER", "the call names no container");
}

void refuse_missing_attribute(const Request& request) {
  refuse(404, "ATTRIBUTE_PATH_NOT_FOUND", "there is no attribute " + request.query_value("attribute"));
}

void add_attribute_api(World& world) {
  const std::string base = "/api/leaderboard/v1/attributes";
  const std::string one = "attribute! experimentId holderIdentifier holderType", who = "holderIdentifier holderType";
  const auto bound = [&world](Response (*handle)(World&, const Request&)) {
    return [&world, handle](const Request& request) { return handle(world, request); };
  };
  const auto property = [&](const char* folder, const char* operation, const char* answer_type, const char* type) {
    add_read(world, "GET", base + "/" + folder, {operation, one, answer_type},
             [&world, type](const Request& request) { return read_one(world, request, type); });
  };
  add_write(world, "POST", base + "/operations",
            {"executeOperations", "experimentId " + who + " @[{}]operations! ^User-Agent", "[OperationError]"},
            bound(execute), operations_body_bytes);
  add_read(world, "GET", base, {"getExperimentAttributes", "experimentId!", "AttributesDTO"}, bound(read_all));
  add_read(world, "GET", base + "/attributes", {"getAttributes", who, "AttributesDTO"}, bound(read_all));
  add_read(world, "POST", base + "/attributes",
           {"getAttributesWithPathsFilter", who + " @attributeQuery", "AttributesDTO"}, bound(read_all));
  property("floats", "getFloatAttribute", "FloatAttributeDTO", "float");
  property("integers", "getIntAttribute", "IntAttributeDTO", "int");
  property("booleans", "getBoolAttribute", "BoolAttributeDTO", "bool");
  property("strings", "getStringAttribute", "StringAttributeDTO", "string");
  property("datetimes", "getDatetimeAttribute", "DatetimeAttributeDTO", "datetime");
  property("files", "getFileAttribute", "FileAttributeDTO", "file");
  property("stringSets", "getStringSetAttribute", "StringSetAttributeDTO", "stringSet");
  property("floatSeries", "getFloatSeriesAttribute", "FloatSeriesAttributeDTO", "floatSeries");
  property("stringSeries", "getStringSeriesAttribute", "StringSeriesAttributeDTO", "stringSeries");
  const std::string page = "attribute! experimentId #limit ";
  add_read(world, "GET", base + "/series/float",
           {"getFloatSeriesValues", page + "#offset %skipToStep ?includePreview lineage", "FloatSeriesValuesDTO"},
           bound(read_points<double>));
  add_read(world, "GET", base + "/series/string",
           {"getStringSeriesValues", page + "#offset #maxSingleValueLength", "StringSeriesValuesDTO"},
           bound(read_points<std::string>));
  add_read(world, "GET", base + "/series/image",
           {"getImageSeriesValues", page + "#offset " + who, "ImageSeriesValuesDTO"}, bound(read_images));
  add_read(world, "POST", base + "/ping", {"ping", "experimentId", ""}, bound(ping));
}

}  // namespace neptune::sandbox
