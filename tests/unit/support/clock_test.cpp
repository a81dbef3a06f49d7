#include "support/clock.h"

#include <gtest/gtest.h>

namespace neptune {
namespace {

TEST(Clock, WritesTimesAsRfc3339InUtcWithMilliseconds) {
  EXPECT_EQ(format_time(from_unix_ms(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_time(from_unix_ms(1767323045678)), "2026-01-02T03:04:05.678Z");
}

TEST(Clock, RoundsTimesBeforeTheEpochDown) {
  EXPECT_EQ(format_time(from_unix_ms(-1)), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace neptune
