#include <gtest/gtest.h>

#include "server/impl/attributes.h"
#include "server/impl/recent.h"

namespace neptune::server {
namespace {

std::vector<AttributeOperation> operations(const std::vector<std::string>& paths) {
  std::vector<AttributeOperation> out;
  for (const auto& path : paths) out.push_back({path, "assignInt", "{}", {}});
  return out;
}

std::vector<std::optional<std::size_t>> blamed(const std::vector<std::string>& paths,
                                               const std::vector<std::string>& words) {
  std::vector<OperationError> errors;
  for (const auto& each : words) errors.push_back({std::nullopt, "code", each});
  std::vector<std::optional<std::size_t>> out;
  for (const auto& error : blame(operations(paths), std::move(errors))) out.push_back(error.index);
  return out;
}

using Indices = std::vector<std::optional<std::size_t>>;

TEST(Blame, FindsThePathInTheWords) {
  EXPECT_EQ(blamed({"a", "b/c", "d"}, {"attribute b/c: no", "no: 'd'"}), (Indices{1, 2}));
  EXPECT_EQ(blamed({"a", "b", "c"}, {"b", "a"}), (Indices{1, 0}));
}

TEST(Blame, TakesTheLongestPathAndNoPartOfOne) {
  EXPECT_EQ(blamed({"loss", "train/loss", "x"}, {"attribute train/loss: no"}), (Indices{1}));
  EXPECT_EQ(blamed({"loss", "x"}, {"attribute train/loss: no"}), (Indices{std::nullopt}));
  EXPECT_EQ(blamed({"loss", "my loss", "x"}, {"attribute my loss: no"}), (Indices{1}));
}

TEST(Blame, TellsNoOperationWhereSeveralMayBeMeant) {
  EXPECT_EQ(blamed({"loss", "loss", "acc"}, {"attribute loss: no"}), (Indices{std::nullopt}));
  EXPECT_EQ(blamed({"a", "b"}, {"something is wrong"}), (Indices{std::nullopt}));
}

TEST(Blame, TellsNoOperationWhereAnotherAttributeHasTheNameOfAWordOfTheServers) {
  EXPECT_EQ(blamed({"loss", "type", "acc"}, {"attribute loss: it is of another type"}), (Indices{std::nullopt}));
  std::vector<OperationError> errors{{.index = {}, .code = "code", .message = "attribute loss: it is of another type"}};
  const auto error = blame(operations({"loss", "type", "acc"}), std::move(errors)).front();
  EXPECT_EQ(error.may_be, (std::vector<std::size_t>{0, 1}));
}

TEST(Blame, TellsWhichMayBeMeant) {
  std::vector<OperationError> errors{{.index = {}, .code = "code", .message = "attribute loss: no"},
                                     {.index = {}, .code = "code", .message = "something is wrong"}};
  const auto told = blame(operations({"loss", "acc", "loss"}), std::move(errors));
  EXPECT_EQ(told[0].may_be, (std::vector<std::size_t>{0, 2}));
  EXPECT_TRUE(told[1].may_be.empty());
}

TEST(Blame, TellsAllOfAPathWhenAllOfItFailed) {
  EXPECT_EQ(blamed({"loss", "acc", "loss"}, {"attribute loss: 1", "attribute loss: 2"}), (Indices{0, 2}));
}

TEST(Blame, TellsAllWhenAllFailed) {
  EXPECT_EQ(blamed({"a"}, {"something is wrong"}), (Indices{0}));
  EXPECT_EQ(blamed({"a", "b", "c"}, {"something", "attribute a: no", "something"}), (Indices{1, 0, 2}));
}

TEST(Blame, IsNotSlowWithManyErrors) {
  std::vector<std::string> paths, words;
  for (int i = 0; i < 1000; ++i) {
    paths.push_back("path/" + std::to_string(i));
    words.push_back("attribute path/" + std::to_string(i) + ": no");
  }
  words.pop_back();
  EXPECT_EQ(blamed(paths, words).size(), 999u);
}

TEST(Blame, SurvivesMoreErrorsThanOperations) {
  EXPECT_EQ(blamed({"a"}, {"a", "a", "b"}), (Indices{std::nullopt, std::nullopt, std::nullopt}));
}

TEST(Recent, ForgetsWhatWasNotAskedForTheLongest) {
  Recent<int> recent(2);
  recent.put("a", 1);
  recent.put("b", 2);
  ASSERT_NE(recent.find("a"), nullptr);
  recent.put("c", 3);
  EXPECT_EQ(recent.find("b"), nullptr);
  EXPECT_EQ(*recent.find("a"), 1);
  recent.put("a", 4);
  EXPECT_EQ(recent.size(), 2u);
  EXPECT_EQ(*recent.find("a"), 4);
  recent.forget_if([](const std::string& name) { return name == "a"; });
  EXPECT_EQ(recent.find("a"), nullptr);
  EXPECT_EQ(recent.size(), 1u);
}

}  // namespace
}  // namespace neptune::server
