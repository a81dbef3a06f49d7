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

INSTANTIATE_TEST_SUITE_P(OfTheApi, Description, ::testing::Values("backend", "leaderboard", "storagebridge"));

TEST(DescriptionOfTheApi, SaysWhereOperationsGo) {
  Served served;
  const auto paths = served.done("GET", "/api/leaderboard/swagger.json").at("paths");
  const auto& execute = paths.at("/api/leaderboard/v1/attributes/operations").at("post");
  EXPECT_EQ(execute.at("operationId").as_string(), "executeOperations");
  std::set<std::string> names;
  for (const auto& parameter : execute.at("parameters").as_array())
    names.insert(std::string(parameter.at("name").as_string()));
  EXPECT_TRUE(names.contains("experimentId"));
  EXPECT_TRUE(names.contains("operations"));
}

}  // namespace
}  // namespace neptune::sandbox
