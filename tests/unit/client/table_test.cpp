#include "client/cli/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace neptune::cli {
namespace {

Table sample() {
  Table table({{"RUN", false, true}, {"PENDING", true}}, "WHY");
  table.add({{"short"}, {"1,204"}}, "The workspace is read-only.");
  table.add({{"a-run-with-a-long-name"}, {"-"}});
  return table;
}

TEST(Table, ARowWithNamesOfDoubleWidthFits) {
  Table table({{"RUN", false, true}, {"STATE"}});
  table.add({{"分類器の学習と評価-最後の試行"}, {"synced"}});
  table.add({{"trial-7"}, {"synced"}});
  const auto text = table.render({false, 24});
  EXPECT_NE(text.find("…"), std::string::npos) << text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(columns(line), 24u) << line;
}

TEST(Table, MakesColumnsAsWideAsTheirContentsAndEndsNoLineInBlanks) {
  EXPECT_EQ(sample().render({}),
            "RUN                     PENDING  WHY\n"
            "short                     1,204  The workspace is read-only.\n"
            "a-run-with-a-long-name        -\n");
}

TEST(Table, PutsNotesBelowTheirRowsWhenTheyDoNotFitBeside) {
  EXPECT_EQ(sample().render({false, 40}),
            "RUN                     PENDING\n"
            "short                     1,204\n"
            "    The workspace is read-only.\n"
            "a-run-with-a-long-name        -\n");
}

TEST(Table, CutsWhatMayBeCutOnANarrowTerminal) {
  EXPECT_EQ(sample().render({false, 22}),
            "RUN            PENDING\n"
            "short            1,204\n"
            "    The workspace is\n"
            "    read-only.\n"
            "a-run-…g-name        -\n");
}

TEST(Table, NeverCutsBelowWhatCanBeRead) {
  std::istringstream lines(sample().render({false, 5}));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "RUN       PENDING");
}

TEST(Table, AlignsTheSameWithAndWithoutColour) {
  Table table({{"A"}, {"B", true}});
  table.add({{"x", Colour::red}, {"1"}});
  EXPECT_EQ(table.render({true, 80}), "\x1b[2mA\x1b[0m  \x1b[2mB\x1b[0m\n\x1b[31mx\x1b[0m  1\n");
}

TEST(Table, LetsNoEscapeSequenceOfARunIdThrough) {
  Table table({{"RUN"}}, "WHY");
  table.add({{"evil\x1b[2J"}}, "also\x1b[2J");
  EXPECT_EQ(table.render({}).find('\x1b'), std::string::npos);
}

TEST(Table, LeavesOutWhatIsExtraWhereItDoesNotFit) {
  Table table({{"NAME", false, true}, {"LEFT", true}, {"SIZE", true, false, true}, {"AGE", true, false, true}});
  table.add({{"a-project"}, {"1,204"}, {"3.2 MiB"}, {"12 min"}});
  EXPECT_EQ(table.render({false, 33}),
            "NAME        LEFT     SIZE     AGE\n"
            "a-project  1,204  3.2 MiB  12 min\n");
  EXPECT_EQ(table.render({false, 25}),
            "NAME        LEFT     SIZE\n"
            "a-project  1,204  3.2 MiB\n");
  EXPECT_EQ(table.render({false, 16}),
            "NAME        LEFT\n"
            "a-project  1,204\n");
  EXPECT_EQ(table.render({false, 15}),
            "NAME       LEFT\n"
            "a-pr…ect  1,204\n");
}

TEST(Table, LeavesOutWhatIsEmptyFirstAndCutsNamesInTheirMiddle) {
  Table table({{"NAME", false, true}, {"SENT", true, false, true}, {"AGE", true, false, true}});
  table.add({{"trial-with-a-long-name-17"}, {"-"}, {"12 min"}});
  EXPECT_EQ(table.render({false, 33}),
            "NAME                          AGE\n"
            "trial-with-a-long-name-17  12 min\n");
  EXPECT_EQ(table.render({false, 24}),
            "NAME                 AGE\n"
            "trial-wi…name-17  12 min\n");
  EXPECT_EQ(table.render({false, 20}),
            "NAME\n"
            "trial-with…g-name-17\n");
}

TEST(Table, ShowsASentenceWhereSomeWordsOfItFit) {
  Table table({{"NAME", false, true}, {"WHY", false, true, true, true}});
  table.add({{"trial-7"}, {"the server refuses connections, and so on"}});
  EXPECT_EQ(table.render({false, 40}), "NAME     WHY\ntrial-7  the server refuses connections…\n");
  EXPECT_EQ(table.render({false, 36}), "NAME\ntrial-7\n");
}

}  // namespace
}  // namespace neptune::cli
