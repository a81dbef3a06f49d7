#include "support/users.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace neptune {

namespace {

constexpr std::size_t max_entry_bytes = 1 << 20;  // our own bound
constexpr int most_groups = 1 << 16;              // the kernel's

struct User {
  std::string name;
  gid_t group;
};

std::optional<User> find_user(uid_t uid) {
  for (std::size_t size = 4096; size <= max_entry_bytes; size *= 4) {
    std::vector<char> buffer(size);
    passwd entry{}, *found = nullptr;
    const int rc = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (rc == ERANGE) continue;
    return rc == 0 && found ? std::optional<User>({entry.pw_name, entry.pw_gid}) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> user_name(uid_t uid) {
  auto user = find_user(uid);
  return user ? std::optional(std::move(user->name)) : std::nullopt;
}

std::vector<gid_t> groups_of(uid_t uid) {
  const auto user = find_user(uid);
  if (!user) return {};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(user->name.c_str(), user->group, groups.data(), &count) < 0 && count <= most_groups)
    groups.resize(static_cast<std::size_t>(count = std::max(count, static_cast<int>(groups.size()) * 2)));
  groups.resize(static_cast<std::size_t>(std::min(count, static_cast<int>(groups.size()))));
  return groups;
}

bool may_be_user(const std::string& name) {
  for (std::size_t size = 4096; size <= max_entry_bytes; size *= 4) {
    std::vector<char> buffer(size);
    passwd entry{}, *found = nullptr;
    const int rc = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (rc != ERANGE) return rc != 0 || found;
  }
  return true;
}

}  // namespace neptune
