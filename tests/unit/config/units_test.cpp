#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "config/config.h"

namespace neptune::config {
namespace {

using namespace std::chrono_literals;

TEST(Durations, AreAWholeNumberAndAUnit) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("15m"), 15min);
  EXPECT_EQ(parse_duration("24h"), 24h);
  EXPECT_EQ(parse_duration("7d"), 7 * 24h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("30 s"), 30s);
}

TEST(Durations, AreRefusedWithWhatToWriteInstead) {
  for (const auto* text : {"", "30", "s", "-1s", "+1s", "1.5h", "30S", "30sec", "30  s", " 30s", "30s ", "1h30m",
                           "0x1s", "36501d", "99999999999999999999s", "18446744073709551615d"}) {
    const auto duration = parse_duration(text);
    ASSERT_FALSE(duration) << text;
    EXPECT_EQ(duration.error().code, "invalid_duration");
    EXPECT_NE(duration.error().message.find("\"30s\""), std::string::npos) << duration.error().message;
  }
}

TEST(Sizes, AreAWholeNumberAndAnyCommonUnit) {
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("4096B"), 4096u);
  EXPECT_EQ(parse_bytes("1 MB"), 1'000'000u);
  EXPECT_EQ(parse_bytes("2kB"), 2000u);
  EXPECT_EQ(parse_bytes("20GiB"), 20ull << 30);
  EXPECT_EQ(parse_bytes("3gib"), 3ull << 30);
  EXPECT_EQ(parse_bytes("1TiB"), 1ull << 40);
  EXPECT_EQ(parse_bytes("9223372036854775807"), 9223372036854775807ull);
}

TEST(Sizes, AreRefusedWithWhatToWriteInstead) {
  for (const auto* text : {"", "GiB", "-1", "1.5GiB", "20 Gi", "20GiBs", "1  MB", " 1MB", "9223372036854775808",
                           "8388608TiB", "99999999999TiB"}) {
    const auto size = parse_bytes(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code, "invalid_size");
    EXPECT_NE(size.error().message.find("\"20GiB\""), std::string::npos) << size.error().message;
  }
}

TEST(Units, ALongTextIsNotRepeatedInFull) {
  EXPECT_LT(parse_bytes(std::string(100'000, 'x')).error().message.size(), 300u);
}

RC_GTEST_PROP(Durations, EveryNumberWithAUnitIsReadExactlyOrIsTooLarge, (std::uint64_t number)) {
  const auto [unit, ms] = *rc::gen::element(std::pair{"ms", 1ull}, std::pair{"s", 1000ull}, std::pair{"m", 60'000ull},
                                            std::pair{"h", 3'600'000ull}, std::pair{"d", 86'400'000ull});
  const auto duration = parse_duration(fmt::format("{}{}", number, unit));
  const bool fits = number <= 36'500ull * 86'400'000 / ms;
  RC_ASSERT(duration.has_value() == fits);
  if (fits) RC_ASSERT(static_cast<std::uint64_t>(duration->count()) == number * ms);
}

RC_GTEST_PROP(Sizes, EveryNumberWithAUnitIsReadExactlyOrIsTooLarge, (std::uint64_t number)) {
  const auto [unit, factor] =
      *rc::gen::element(std::pair{"", 1ull}, std::pair{"MB", 1'000'000ull}, std::pair{"GiB", 1ull << 30});
  const auto size = parse_bytes(fmt::format("{} {}", number, unit));
  if (*unit == '\0') {
    RC_ASSERT(!size);  // a number and a space without a unit
  } else {
    const bool fits = number <= static_cast<std::uint64_t>(INT64_MAX) / factor;
    RC_ASSERT(size.has_value() == fits);
    if (fits) RC_ASSERT(*size == number * factor);
  }
}

/// Texts that are nearly right, and so reach further into the parser than random ones.
rc::Gen<std::string> nearly_a_quantity() {
  return rc::gen::container<std::string>(rc::gen::elementOf(std::string("0123456789 msdhMGiBk.-+\0\xff\n", 27)));
}

RC_GTEST_PROP(Units, WhateverIsAcceptedHoldsOnlyANumberAndLetters, ()) {
  const auto text = *nearly_a_quantity();
  const auto begins_with_digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
  const auto letters_only = text.find_first_of(std::string(".-+\0\xff\n", 6)) == std::string::npos;
  if (const auto duration = parse_duration(text))
    RC_ASSERT(begins_with_digit && letters_only && duration->count() >= 0);
  if (parse_bytes(text)) RC_ASSERT(begins_with_digit && letters_only);
}

RC_GTEST_PROP(Units, AnyTextIsReadOrRefused, (const std::string& text)) {
  const auto duration = parse_duration(text);
  const auto size = parse_bytes(text);
  RC_ASSERT(duration.has_value() || !duration.error().message.empty());
  RC_ASSERT(size.has_value() || !size.error().message.empty());
}

}  // namespace
}  // namespace neptune::config
