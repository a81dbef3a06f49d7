#include <algorithm>
#include <map>
#include <set>

#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

/// Every "$ref" below the value.
void collect_references(const boost::json::value& value, std::set<std::string>& out) {
  if (const auto* object = value.if_object())
    for (const auto& [key, member] : *object) {
      if (key == "$ref") out.insert(std::string(member.as_string()));
      collect_references(member, out);
    }
  if (const auto* array = value.if_array())
    for (const auto& element : *array) collect_references(element, out);
}

class Description : public ::testing::TestWithParam<const char*> {};

TEST_P(Description, DefinesWhatItRefersTo) {
  Served served;
  const auto description = served.done("GET", std::string("/api/") + GetParam() + "/swagger.json");
  EXPECT_EQ(description.at("swagger").as_string(), "2.0");
  std::set<std::string> references;
  collect_references(description, references);
  for (const auto& reference : references) {
    ASSERT_TRUE(reference.starts_with("#/definitions/"));
    EXPECT_TRUE(description.at("definitions").as_object().contains(reference.substr(14))) << reference;
  }
}

/// What is wrong with a parameter for a client that builds a call with it; empty: nothing.
std::string unusable(const boost::json::object& parameter) {
  static const std::set<std::string> places{"query", "path", "header", "body"};
  static const std::set<std::string> types{"string", "integer", "number", "boolean", "array"};
  const std::string in(parameter.at("in").as_string());
  if (!places.contains(in)) return "it is in " + in;
  const auto& schema = in == "body" ? parameter.at("schema").as_object() : parameter;
  // bravado sends nothing of which the description does not say what it is.
  if (!schema.contains("type")) return "it has no type";
  const std::string type(schema.at("type").as_string());
  if (!types.contains(type) && !(in == "body" && type == "object")) return "its type is " + type;
  return type != "array" || schema.at("items").as_object().contains("type") ? "" : "what the array holds has no type";
}

/// The names in braces.
std::set<std::string> names_in(const std::string& path) {
  std::set<std::string> out;
  for (auto at = path.find('{'); at != std::string::npos; at = path.find('{', at + 1))
    out.insert(path.substr(at + 1, path.find('}', at) - at - 1));
  return out;
}

TEST_P(Description, IsEnoughToBuildEveryCallFrom) {
  Served served;
  const auto description = served.done("GET", std::string("/api/") + GetParam() + "/swagger.json");
  std::set<std::string> ids;
  for (const auto& [path, methods] : description.at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object()) {
      const std::string id(operation.at("operationId").as_string());
      EXPECT_TRUE(!id.empty() && ids.insert(id).second) << id << " is there twice";
      EXPECT_EQ(operation.at("tags"), boost::json::array{"api"}) << id;
      std::set<std::string> in_path, all;
      std::size_t bodies = 0;
      for (const auto& parameter : operation.at("parameters").as_array()) {
        EXPECT_EQ(unusable(parameter.as_object()), "") << id << ": " << parameter;
        const std::string name(parameter.at("name").as_string());
        EXPECT_TRUE(all.insert(name).second) << id << " takes " << name << " twice";
        if (parameter.at("in") == "path") in_path.insert(name);
        if (parameter.at("in") == "body") ++bodies;
      }
      EXPECT_EQ(in_path, names_in(path)) << id;
      EXPECT_LE(bodies, 1u) << id;
      EXPECT_TRUE(operation.at("responses").as_object().contains("200")) << id;
    }
  EXPECT_FALSE(ids.empty());
}

INSTANTIATE_TEST_SUITE_P(OfTheApi, Description, ::testing::Values("backend", "leaderboard", "storagebridge"));

/// An operation in the words of tests/data/api: its method, its path, and each parameter.
std::set<std::string> words_of(const std::string& method, const std::string& path,
                               const boost::json::value& operation) {
  std::set<std::string> words{method, path};
  for (const auto& parameter : operation.at("parameters").as_array()) {
    const auto text = [&parameter](const char* member) {
      const auto* value = parameter.as_object().if_contains(member);
      return value ? std::string(value->as_string()) : "-";
    };
    words.insert(text("name") + ' ' + text("in") + ' ' + text("type") +
                 (parameter.at("required").as_bool() ? " required" : " optional"));
  }
  return words;
}

using Operations = std::map<std::string, std::set<std::string>>;

boost::json::value api_data(const std::string& name) {
  return testing::read_json(std::string(SOURCE_DIR) + "/tests/data/api/" + name + ".json");
}

/// What the server's own description says of the calls that clients of 1.x make to write and to manage, and to read
/// back what they wrote.
Operations expected(const std::string& area) {
  Operations operations;
  const auto listed = api_data(area);
  for (const auto& [id, words] : listed.as_object())
    for (const auto& word : words.as_array()) operations[id].insert(std::string(word.as_string()));
  // By which clients of 1.x page through a series; servers of today describe it no more.
  if (area == "leaderboard") operations["getFloatSeriesValues"].insert("offset query integer optional");
  return operations;
}

class DescriptionFor1x : public ::testing::TestWithParam<const char*> {};

TEST_P(DescriptionFor1x, HasEveryOperationThatItsClientBuildsItsCallsFromAsTheServerDescribesIt) {
  Served served;
  const std::string area = GetParam();
  Operations described;
  const auto description = served.done("GET", "/api/" + area + "/swagger.json");
  for (const auto& [path, methods] : description.at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object())
      described[std::string(operation.at("operationId").as_string())] = words_of(method, path, operation);
  const auto operations = expected(area);
  EXPECT_FALSE(operations.empty());
  for (const auto& [id, words] : operations) EXPECT_EQ(described[id], words) << id;
  for (const auto& [id, words] : described) EXPECT_TRUE(operations.contains(id)) << id << " is none of the server's";
}

/// The schema of a member, "entries.id", below a schema; null: it has no such member.
const boost::json::object* member(const boost::json::object& definitions, const boost::json::object& schema,
                                  std::string_view path) {
  if (const auto* items = schema.if_contains("items")) return member(definitions, items->as_object(), path);
  if (const auto* reference = schema.if_contains("$ref"))
    return member(definitions, definitions.at(std::string_view(reference->as_string()).substr(14)).as_object(), path);
  if (path.empty()) return &schema;
  const auto* properties = schema.if_contains("properties");
  const auto dot = std::min(path.find('.'), path.size());
  const auto* found = properties ? properties->as_object().if_contains(path.substr(0, dot)) : nullptr;
  return found ? member(definitions, found->as_object(), path.substr(std::min(dot + 1, path.size()))) : nullptr;
}

TEST_P(DescriptionFor1x, TakesWhatItsClientPassesAndNamesWhatItReads) {
  Served served;
  const auto description = served.done("GET", std::string("/api/") + GetParam() + "/swagger.json").as_object();
  const auto& definitions = description.at("definitions").as_object();
  std::map<std::string, boost::json::object> described;
  for (const auto& [path, methods] : description.at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object())
      described[std::string(operation.at("operationId").as_string())] = operation.as_object();
  const auto calls = api_data("client_1x").at(GetParam());
  for (const auto& [id, call] : calls.as_object()) {
    ASSERT_TRUE(described.contains(id)) << id;
    std::set<std::string> passed, taken, wanted;
    for (const auto& name : call.at("passes").as_array()) passed.insert(std::string(name.as_string()));
    for (const auto& parameter : described[id].at("parameters").as_array()) {
      const std::string name(parameter.at("name").as_string());
      taken.insert(name);
      if (parameter.at("required").as_bool()) wanted.insert(name);
    }
    EXPECT_TRUE(std::includes(taken.begin(), taken.end(), passed.begin(), passed.end())) << id;
    EXPECT_TRUE(std::includes(passed.begin(), passed.end(), wanted.begin(), wanted.end())) << id;
    for (const auto& path : call.at("reads").as_array()) {
      const auto& good = described[id].at("responses").at("200").as_object();
      EXPECT_TRUE(good.contains("schema") && member(definitions, good.at("schema").as_object(), path.as_string()))
          << id << ": " << path;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OfTheApi, DescriptionFor1x, ::testing::Values("backend", "leaderboard"));

}  // namespace
}  // namespace neptune::sandbox
