#include "support/sizes.h"

#include <gtest/gtest.h>

namespace neptune {
namespace {

TEST(Sizes, AreInTheUnitThatFits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1024), "1.0 KiB");
  EXPECT_EQ(size_text((1u << 20) - 1), "1.0 MiB") << "never 1024.0 of anything";
  EXPECT_EQ(size_text(3ull << 30), "3.0 GiB");
}

TEST(Counts, AreOneOrSeveral) {
  EXPECT_EQ(number_of(0, "change"), "0 changes");
  EXPECT_EQ(number_of(1, "change"), "1 change");
  EXPECT_EQ(number_of(12, "file"), "12 files");
}

}  // namespace
}  // namespace neptune
