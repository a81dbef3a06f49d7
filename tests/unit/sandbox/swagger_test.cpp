#include <fstream>
#include <map>
#include <set>
#include <sstream>

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

/// What the server's own description says of the calls that clients of 1.x make to write and to manage, and to read
/// back what they wrote.
Operations expected(const std::string& area) {
  std::ifstream file(std::string(SOURCE_DIR) + "/tests/data/api/" + area + ".json");
  std::stringstream text;
  text << file.rdbuf();
  Operations operations;
  const auto listed = boost::json::parse(text.str());
  for (const auto& [id, words] : listed.as_object())
    for (const auto& word : words.as_array()) operations[id].insert(std::string(word.as_string()));
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

INSTANTIATE_TEST_SUITE_P(OfTheApi, DescriptionFor1x, ::testing::Values("backend", "leaderboard"));

}  // namespace
}  // namespace neptune::sandbox
