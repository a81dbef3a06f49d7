#include "support/utf8.h"

#include <gtest/gtest.h>

namespace neptune {
namespace {

TEST(Utf8, KnowsCharactersOfOneToFourBytes) {
  for (const auto& [text, code] : {std::pair{"a", U'a'}, {"é", U'é'}, {"器", U'器'}, {"🙂", U'🙂'}}) {
    const auto one = first_utf8_character(text);
    EXPECT_EQ(one.bytes, std::string_view(text).size()) << text;
    EXPECT_EQ(one.code, code) << text;
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  EXPECT_TRUE(is_utf8(""));
  EXPECT_EQ(first_utf8_character("").bytes, 0u);
}

TEST(Utf8, TakesNothingElseForOne) {
  for (const auto* bad :
       {"\xff", "\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe5\x99"}) {
    EXPECT_EQ(first_utf8_character(bad).bytes, 0u);
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_EQ(utf8_part(std::string("é.") + bad), 3u);
  }
}

}  // namespace
}  // namespace neptune
