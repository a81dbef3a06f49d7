#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/control.h"
#include "support/clock.h"
#include "support/error.h"

/// The front door: HTTP/1.1 over a Unix socket (docs/local-api.md describes routes and answers).
namespace neptune::local_api {

struct Options {
  std::filesystem::path path;  ///< of the socket; unused with `inherited_fd`
  int inherited_fd = -1;       ///< a listening Unix socket from the service manager; owned from here on
  unsigned mode = 0666;        ///< any local user may read the status; the directory decides who gets here
  std::string version;         ///< for the Server header
  std::string operator_group = "neptune-sync";  ///< its members may do everything
  /// By workspace, the names of users who may hand in management and destructive changes of it without being operators.
  std::map<std::string, std::vector<std::string>> allow_users{};

  std::size_t max_connections = 256;              ///< past it: 503
  std::size_t kept_connections = 16;              ///< of them, for root and the daemon's user: others get 503 before
  std::size_t max_connections_per_user = 64;      ///< past it: 503, so that one user cannot keep out the others
  std::size_t max_streams_per_user = 32;          ///< of them, of events; past it: 503
  std::chrono::milliseconds spare_idle{1000};     ///< who asks nothing for so long makes place for another
  std::uint32_t max_header_bytes = 16 << 10;      ///< past it: 431
  std::uint64_t max_body_bytes = 64 << 10;        ///< past it: 413; of every route but that of changes
  std::uint64_t max_changes_bytes = 16 << 20;     ///< past it: 413; one body of changes
  std::uint64_t max_bodies_bytes = 32 << 20;      ///< past it: 503; bodies over max_body_bytes, all together
  double intake_per_second = 500;                 ///< bodies of changes, or each 64 KiB of one; past it: 429
  double intake_burst = 2000;                     ///< how many of them at once, after a rest; a user
  std::chrono::milliseconds idle_timeout{60000};  ///< between requests; then the connection is closed
  std::chrono::milliseconds request_timeout{
      10000};                                      ///< from a request's first byte to its last; renewed by each 64 KiB
  std::chrono::milliseconds write_timeout{10000};  ///< for an answer, or a piece of an event stream, to be taken
  std::chrono::milliseconds stop_grace{1000};      ///< for answers under way when the daemon stops
};

/// Operation: one accept loop, one coroutine a connection; requests of a connection are answered one after the other.
/// Reading is for everybody who can reach the socket. What changes something is for root, the daemon's own user and the
/// operator group: who asks is told by the kernel (SO_PEERCRED).
/// An error of the engine is answered by its code: `not_found`, `unknown_*` and `*_not_found` 404, `invalid_*` 400,
/// `conflict`, `held_writes`, `idempotency_key_reused` and `already_*` 409, `queue_full`, `disk_full` and `low_disk`
/// 507, `draining` and whatever is retryable 503, the rest 500.
///
/// A body of changes is read whoever sent it; who may hand in which kind is decided change by change. One user's bodies
/// take at most half of `max_bodies_bytes`. Changes take more memory than their JSON until the engine has them: long
/// ones hardly more, the shortest thirteen times as much (16 MiB of them: 210 MiB).
/// Events are never buffered for a reader: each stream takes what the engine still keeps, at its own pace.
/// Concurrency: one executor, one thread; name service lookups run on a thread of their own, and so does the reading of
/// large bodies.
class LocalApi {
 public:
  /// Binds and listens, but answers nobody before `start`. Refuses when a living daemon answers on the path
  /// ("socket_in_use"); replaces the socket file a dead one left behind.
  static Result<std::unique_ptr<LocalApi>> open(boost::asio::any_io_executor executor, const Clock& clock,
                                                engine::Control& control, Options options);
  ~LocalApi();

  void start();

  /// Ends idle connections and event streams at once, lets answers under way finish within `stop_grace`, then cancels
  /// them, and removes the socket file. Must have returned before destruction when `start` was called.
  boost::asio::awaitable<void> stop();

  /// Whom a workspace allows management from now on (Options::allow_users).
  void set_allow_users(std::map<std::string, std::vector<std::string>> allow_users);

  std::size_t connections() const;

 private:
  class Impl;
  explicit LocalApi(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::local_api
