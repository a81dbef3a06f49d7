#include "support/base64.h"

#include <gtest/gtest.h>

namespace neptune {
namespace {

TEST(Base64, IsPadded) {
  EXPECT_EQ(encode_base64(""), "");
  EXPECT_EQ(encode_base64("f"), "Zg==");
  EXPECT_EQ(encode_base64("fo"), "Zm8=");
  EXPECT_EQ(encode_base64("foo"), "Zm9v");
  EXPECT_EQ(encode_base64("\xff\xfe\xfd"), "//79");
}

TEST(Base64, IsReadBackAndNothingElseIs) {
  for (const char* text : {"", "f", "fo", "foo", "\xff\xfe\xfd"})
    EXPECT_EQ(decode_base64(encode_base64(text), Base64::standard), text);
  EXPECT_EQ(decode_base64("_-79", Base64::url), "\xff\xee\xfd");
  for (const char* wrong : {"Zg", "Zg=", "Z===", "Zm9v!", "Zm 9v"})
    EXPECT_FALSE(decode_base64(wrong, Base64::standard)) << wrong;
}

}  // namespace
}  // namespace neptune
