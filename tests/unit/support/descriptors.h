#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace neptune::test {

/// The sanitizers look through a pipe whether a pointer can be followed, and take a lack of descriptors for a broken
/// object: what runs out of them is not for them.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool needs_descriptors = true;
#else
inline constexpr bool needs_descriptors = false;
#endif

/// How many descriptors this process may have, until it goes.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit tight{limit, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  }
  ~DescriptorLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace neptune::test
