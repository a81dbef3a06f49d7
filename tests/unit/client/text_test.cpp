#include "client/cli/text.h"

#include <gtest/gtest.h>

namespace neptune::cli {
namespace {

using namespace std::chrono_literals;

TEST(Text, GroupsDigits) {
  EXPECT_EQ(count(0), "-");
  EXPECT_EQ(count(999), "999");
  EXPECT_EQ(count(1000), "1,000");
  EXPECT_EQ(count(1234567), "1,234,567");
  EXPECT_EQ(count(18446744073709551615u), "18,446,744,073,709,551,615");
}

TEST(Text, WritesBytesInTheUnitThatFits) {
  EXPECT_EQ(bytes(0), "-");
  EXPECT_EQ(bytes(1023), "1023 B");
  EXPECT_EQ(bytes(1024), "1.0 KiB");
  EXPECT_EQ(bytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(bytes(3435973836ull), "3.2 GiB");
}

TEST(Text, WritesAgesAsPeopleSayThem) {
  EXPECT_EQ(age(-5s), "0 s");
  EXPECT_EQ(age(59s), "59 s");
  EXPECT_EQ(age(60s), "1 min");
  EXPECT_EQ(age(2h + 14min + 30s), "2 h 14 min");
  EXPECT_EQ(age(3h), "3 h");
  EXPECT_EQ(age(48h), "2 d");
}

TEST(Text, LetsNoControlCharacterThrough) {
  EXPECT_EQ(clean("a\x1b[31mred\nb\x7f\xc2\x9b caf\xc3\xa9"), "a?[31mred b?? caf\xc3\xa9");
}

TEST(Text, ShowsWhatCannotBeSeenOrTurnsTheTextAround) {
  EXPECT_EQ(clean("a\u202eb\u200bc\u2028d\u2066e\ufefff\u00adg"), "a?b?c?d?e?f?g");
  EXPECT_EQ(clean("日本 é\u0301 🙂 \u00a0"), "日本 é\u0301 🙂 \u00a0");
  EXPECT_EQ(clean("caf\xe9\xff"), "caf??");
}

TEST(Text, BeginsASentenceWithACapitalAndLeavesNamesAsTheyAre) {
  EXPECT_EQ(capital("the token is refused"), "The token is refused");
  EXPECT_EQ(capital("there is no run"), "There is no run");
  EXPECT_EQ(capital("nothing was taken"), "Nothing was taken");
  for (const char* text :
       {"vision is held", "vision has no run r here", "best was to be a copy", "'nofile' cannot be read"})
    EXPECT_EQ(capital(text), text);
}

TEST(Text, CutsByCharactersNotByBytes) {
  EXPECT_EQ(cut("caf\xc3\xa9", 4), "caf\xc3\xa9");
  EXPECT_EQ(cut("\xc3\xa9\xc3\xa9\xc3\xa9", 2), "\xc3\xa9…");
  EXPECT_EQ(cut("abc", 0), "");
  EXPECT_EQ(cut("分類器", 6), "分類器") << "of double width";
  EXPECT_EQ(cut("分類器", 5), "分類…");
  EXPECT_EQ(cut("分類器", 4), "分…");
  EXPECT_EQ(cut("분류기-7", 8), "분류기-7");
  EXPECT_EQ(cut("cafe\u0301 x", 6), "cafe\u0301 x") << "an accent takes no column of its own";
}

TEST(Text, WrapsAtTheWidthAndNeverInsideAWord) {
  EXPECT_EQ(wrap("one two three", 9, "- ", "  "), "- one two\n  three\n");
  EXPECT_EQ(wrap("one incomprehensible two", 8, "", ""), "one\nincomprehensible\ntwo\n");
  EXPECT_EQ(wrap("one two three", 0, "", ""), "one two three\n");
  EXPECT_EQ(wrap("", 10, "- ", ""), "- \n");
}

TEST(Text, ReadsDurations) {
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("1.5h"), 90min);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("2d"), 48h);
  EXPECT_EQ(parse_duration("90"), 90s);
  EXPECT_EQ(parse_duration("0"), 0s);
  for (const char* bad : {"", "s", "-5s", "5 s", "5x", "nan", "inf", "1e300h", "99999999999999"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Text, PaintsOnlyWhereColourIsWanted) {
  EXPECT_EQ(paint({}, Colour::red, "x"), "x");
  EXPECT_EQ(paint({true, 80}, Colour::red, "x"), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(paint({true, 80}, Colour::plain, "x"), "x");
}

TEST(Text, CutPaintedCountsNoColours) {
  const Style colours{true, 80};
  const auto text = paint(colours, Colour::red, "rejected") + " twice";
  EXPECT_EQ(cut_painted(text, 14), text);
  EXPECT_EQ(cut_painted(text, 11), paint(colours, Colour::red, "rejected") + " t…");
  EXPECT_EQ(cut_painted(text, 4), "\x1b[31mrej…\x1b[0m");
  EXPECT_EQ(cut_painted("naïve", 3), "na…");
  EXPECT_EQ(cut_painted("分類器", 5), "分類…");
  EXPECT_EQ(cut_painted("分類器", 4), "分…");
}

TEST(Text, CutsNamesInTheirMiddleAndPathsBeforeTheirLastName) {
  EXPECT_EQ(cut_middle("trial-with-a-long-name-17", 30), "trial-with-a-long-name-17");
  EXPECT_EQ(cut_middle("trial-with-a-long-name-17", 11), "trial…me-17");
  EXPECT_EQ(cut_middle("naïveté-naïveté", 6), "naï…té");
  EXPECT_EQ(cut_middle("分類器の学習-7", 9), "分類…習-7");
  EXPECT_EQ(cut_middle("trial", 2), "t…");
  const std::string path = "/var/lib/neptune-syncd/runs/ml-team_lab_trial-7_17";
  EXPECT_EQ(short_path(path, 0), path);
  EXPECT_EQ(short_path(path, 50), path);
  EXPECT_EQ(short_path(path, 40), "/var/lib/neptune…/ml-team_lab_trial-7_17");
  EXPECT_EQ(short_path(path, 10), "/…/ml-team_lab_trial-7_17") << "its name is kept";
  EXPECT_EQ(short_path("name", 2), "name");
}

TEST(ProgressBar, OfFilesTellsBytesRateAndTimeLeft) {
  api::Upload first;
  first.file = "/data/a\n.bin";
  first.bytes_done = 1u << 30;
  first.bytes_total = 3ull << 30;
  first.bytes_per_second = 50u << 20;
  first.seconds_left = 41.0;
  auto second = first;
  second.bytes_done = 0;
  second.bytes_total = 1u << 30;
  second.bytes_per_second.reset();
  second.seconds_left.reset();
  EXPECT_EQ(progress_of(first), "a .bin: 1.0 GiB of 3.0 GiB (33 %), 50.0 MiB/s, 41 s left");
  EXPECT_EQ(progress_of(second), "a .bin: 0 B of 1.0 GiB (0 %)");
  api::Upload empty;
  empty.file = "empty";
  EXPECT_EQ(progress_of(empty), "empty: 0 B of 0 B (100 %)");
  EXPECT_EQ(upload_bar({first, second}, 60), "██░░░░░░░░  25 %  1.0 GiB of 4.0 GiB, 50.0 MiB/s, 1 min left");
  for (std::size_t width : {10, 25, 40, 80}) EXPECT_LE(columns(upload_bar({first, second}, width)), width);
}

TEST(ProgressBar, FitsItsWidth) {
  EXPECT_EQ(progress_bar(50, 50, 0, 40), "███████░░░░░░░░  50 %  50 of 100 changes");
  EXPECT_EQ(progress_bar(0, 0, 0, 50), "░░░░░░░░░░░░░░░░░   0 %  nothing of it is here yet");
  EXPECT_EQ(columns(progress_bar(1204, 5000, 31, 200)), columns(progress_bar(1204, 5000, 31, 100)));
  for (std::size_t width : {10, 25, 40, 80}) EXPECT_LE(columns(progress_bar(1204, 5000, 31, width)), width);
}

}  // namespace
}  // namespace neptune::cli
