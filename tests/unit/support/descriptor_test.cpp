#include "support/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace neptune {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

Descriptor opened() {
  return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(Descriptors, AreClosedWithTheirOwner) {
  int fd = -1;
  {
    const auto file = opened();
    fd = file.get();
    ASSERT_TRUE(file);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(Descriptors, GoOverToAnotherOwnerWhichClosesWhatItHad) {
  auto first = opened(), second = opened();
  const int kept = first.get(), closed = second.get();
  second = std::move(first);
  EXPECT_EQ(second.get(), kept);
  EXPECT_TRUE(is_open(kept));
  EXPECT_FALSE(is_open(closed));
  const auto third = std::move(second);
  EXPECT_EQ(third.get(), kept);
  EXPECT_TRUE(is_open(kept));
}

TEST(Descriptors, ThatAreGivenAwayStayOpen) {
  int fd = -1;
  {
    auto file = opened();
    fd = file.release();
    EXPECT_FALSE(file);
  }
  EXPECT_TRUE(is_open(fd));
  ::close(fd);
}

}  // namespace
}  // namespace neptune
