#include "client/cli/change_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "client/lib/ids.h"

// A long file in parts: nothing is left out, nothing comes twice, and each is within the limits of a request.
namespace neptune::cli {
namespace {

class AChangeFile : public testing::Test {
 protected:
  ~AChangeFile() override { std::filesystem::remove(path_); }

  ChangeFile holding(const std::string& text, ChangeFile::Limits limits) {
    std::ofstream(path_) << text;
    return std::move(*ChangeFile::open(path_, limits));
  }
  static std::vector<std::string> texts(ChangeFile file) {
    std::vector<std::string> out;
    for (auto part = file.next(); part && *part; part = file.next()) out.emplace_back((*part)->text);
    return out;
  }

  std::string path_ = std::filesystem::temp_directory_path() / ("changes-" + std::to_string(::getpid()));
};

using Texts = std::vector<std::string>;

TEST_F(AChangeFile, IsOneRequestWhereTheDoorTakesItWhole) {
  for (const std::string text : {"{}\n{}\n\n{}", "{\n\"a\"\n:\n1\n}", "[{},\n{},{}]", "", "\n\n", "nonsense\n"})
    EXPECT_EQ(texts(holding(text, {.bytes = 100, .changes = 3})), Texts{text});
  const std::string array = "\xEF\xBB\xBF [{},{},{},{}]";
  EXPECT_EQ(texts(holding(array, {.bytes = 100, .changes = 3})), Texts{array}) << "an array is one text";
}

TEST_F(AChangeFile, IsCutAfterLines) {
  EXPECT_EQ(texts(holding("{1}\n\n{2}\n{3}\n", {.bytes = 100, .changes = 2})), (Texts{"{1}\n\n{2}\n", "{3}\n"}));
  EXPECT_EQ(texts(holding("{1}\n{2}\n{3}", {.bytes = 8, .changes = 9})), (Texts{"{1}\n{2}\n", "{3}"}));
  EXPECT_EQ(texts(holding("{1}\n{2222222}\n{3}", {.bytes = 8, .changes = 9})), (Texts{"{1}\n", "{2222222}\n", "{3}"}));
  EXPECT_EQ(texts(holding("{1}\n{2}\n\n\n \n", {.bytes = 9, .changes = 1})), (Texts{"{1}\n", "{2}\n"}));
}

TEST_F(AChangeFile, KnowsWhereAPartBegins) {
  auto file = holding("\n{1}\n{2}\n\n{3}\n{4}\n", {.bytes = 100, .changes = 2});
  const auto first = **file.next();
  EXPECT_EQ((std::tuple{first.changes_before, first.lines_before, first.changes, first.line_count}),
            (std::tuple{0u, 0u, 2u, 3u}));
  EXPECT_EQ(file.shorten(1).text, "\n{1}\n");
  const auto second = **file.next();
  EXPECT_EQ(second.text, "{2}\n\n{3}\n");
  EXPECT_EQ((std::tuple{second.changes_before, second.lines_before, second.changes, second.line_count}),
            (std::tuple{1u, 2u, 2u, 3u}));
}

TEST_F(AChangeFile, LeavesOutTheFirstOfThem) {
  const std::string text = "{1}\n\n{2}\n{3}\n";
  for (const std::size_t changes : {1, 2, 9}) {
    auto file = holding(text, {.bytes = 100, .changes = changes});
    ASSERT_TRUE(file.skip(2));
    const auto part = **file.next();
    EXPECT_EQ(part.text, "{3}\n");
    EXPECT_TRUE(part.lines);
    EXPECT_EQ(part.changes_before, 2u);
    EXPECT_EQ(part.lines_before, 3u);
    EXPECT_FALSE(*file.next());
  }
  auto file = holding(text, {});
  ASSERT_TRUE(file.skip(3));
  EXPECT_FALSE(*file.next());
  EXPECT_EQ(holding(text, {}).skip(4).error().code, "wrong_skip");
  EXPECT_EQ(holding("[{},{}]", {}).skip(1).error().code, "wrong_skip");
}

TEST_F(AChangeFile, OfAnySizeIsHandedOutOnceInOrderWithinTheLimits) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::string text = "{first}\n";
    for (auto lines = random() % 3000; lines > 0; --lines)
      text += random() % 5 == 0 ? "\n" : "{" + std::string(random() % 200, 'x') + "}\n";
    const ChangeFile::Limits limits{.bytes = 70'000 + random() % 70'000, .changes = 1 + random() % 2000};
    std::string all;
    for (const auto& part : texts(holding(text, limits))) {
      EXPECT_LE(part.size(), limits.bytes);
      all += part;
    }
    while (text.ends_with("\n\n")) text.pop_back();
    while (all.ends_with("\n\n")) all.pop_back();
    EXPECT_EQ(all, text) << round;
  }
}

TEST(Ids, AreKeptOnceInOrderAndTakeNoRoomInARow) {
  client::Ids ids{8, 7, 9, 20, 8};
  EXPECT_EQ(ids.size(), 4u);
  EXPECT_FALSE(ids.in_a_row());
  EXPECT_EQ(ids.sample(100), (std::vector<std::int64_t>{7, 8, 9, 20}));
  EXPECT_EQ(ids.sample(2), (std::vector<std::int64_t>{7, 9}));
  ids.drop_through(8);
  EXPECT_EQ(ids.front(), 9);
  EXPECT_EQ(ids.size(), 2u);
  ids.drop_through(19);
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_TRUE(ids.in_a_row());
  ids.drop_through(20);
  EXPECT_TRUE(ids.empty());
}

}  // namespace
}  // namespace neptune::cli
