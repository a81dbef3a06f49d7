#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "local_api/impl/standing.h"
#include "support/clock.h"
#include "support/worker_pool.h"

namespace neptune::local_api {

std::optional<Peer> peer_of(int fd);

using AllowedUsers = std::map<std::string, std::vector<std::string>>;  // by workspace

/// Tells operators (root, the daemon's user, members of the group) from others, and whom a workspace allows more.
/// Answers are kept for ten seconds; the name service may block, so it is asked on a thread of its own.
class Operators {
 public:
  /// `allow_users`: by workspace, the names of users who may manage it without being operators.
  Operators(const Clock& clock, std::string group, AllowedUsers allow_users);

  boost::asio::awaitable<Standing> standing(Peer peer);

  /// What is kept of anybody is forgotten.
  void set_allow_users(AllowedUsers allow_users);

  const std::string& group() const { return group_; }

 private:
  struct Kept {
    Standing standing;
    Instant until;
  };

  const Clock& clock_;
  std::string group_;
  AllowedUsers allow_users_;
  std::map<std::pair<uid_t, gid_t>, Kept> kept_;
  WorkerPool name_service_{1};
};

}  // namespace neptune::local_api
