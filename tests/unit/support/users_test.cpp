#include "support/users.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <sstream>

namespace neptune {
namespace {

std::string output_of(const char* command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command, "r"), ::pclose);
  std::array<char, 4096> text{};
  return std::string(text.data(), std::fread(text.data(), 1, text.size(), pipe.get()));
}

TEST(Users, AreInTheGroupsThatTheSystemSays) {
  for (const auto& [name, uid] : {std::pair<const char*, uid_t>{"root", 0}, {"daemon", 1}}) {
    ASSERT_EQ(user_name(uid), name);
    std::set<gid_t> expected;
    std::istringstream words(output_of((std::string("id -G ") + name).c_str()));
    for (gid_t group = 0; words >> group;) expected.insert(group);
    const auto groups = groups_of(uid);
    EXPECT_EQ(std::set<gid_t>(groups.begin(), groups.end()), expected) << name;
    EXPECT_FALSE(groups.empty());
  }
  EXPECT_TRUE(groups_of(4'000'000'000).empty()) << "nobody is known by that number";
}

}  // namespace
}  // namespace neptune
