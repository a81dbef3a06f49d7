#pragma once

#include <sys/types.h>

#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace neptune::local_api {

/// Who connected, as the kernel tells it.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

/// What a peer may do, and the name it is remembered by.
struct Standing {
  bool is_operator = false;
  std::string name{};                               ///< the user's name, else "uid 1000"
  std::set<std::string, std::less<>> workspaces{};  ///< those whose `allow_users` name the user

  bool may_manage(std::string_view workspace) const { return is_operator || workspaces.contains(workspace); }
};

/// "the user jackie", "the user with uid 1000".
inline std::string user_in_words(const std::string& name) {
  return (name.starts_with("uid ") ? "the user with " : "the user ") + name;
}

}  // namespace neptune::local_api
