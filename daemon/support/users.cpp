#include "support/users.h"

#include <pwd.h>

#include <cerrno>
#include <vector>

namespace neptune {

namespace {

constexpr std::size_t max_entry_bytes = 1 << 20;  // our own bound

}  // namespace

std::optional<std::string> user_name(uid_t uid) {
  for (std::size_t size = 4096; size <= max_entry_bytes; size *= 4) {
    std::vector<char> buffer(size);
    passwd entry{}, *found = nullptr;
    const int rc = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    if (rc == ERANGE) continue;
    return rc == 0 && found ? std::optional<std::string>(entry.pw_name) : std::nullopt;
  }
  return std::nullopt;
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
