#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "support/clock.h"
#include "support/worker_pool.h"

namespace neptune::local_api {

/// Who connected, as the kernel tells it.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

std::optional<Peer> peer_of(int fd);

/// What a peer may do, and the name it is remembered by.
struct Standing {
  bool is_operator = false;
  std::string name;  ///< the user's name, else "uid 1000"
};

/// Tells operators (root, the daemon's user, members of the group) from others. Answers are kept for ten seconds; the
/// name service may block, so it is asked on a thread of its own.
class Operators {
 public:
  Operators(const Clock& clock, std::string group);

  boost::asio::awaitable<Standing> standing(Peer peer);

  const std::string& group() const { return group_; }

 private:
  struct Kept {
    Standing standing;
    Instant until;
  };

  const Clock& clock_;
  std::string group_;
  std::map<std::pair<uid_t, gid_t>, Kept> kept_;
  WorkerPool name_service_{1};
};

}  // namespace neptune::local_api
