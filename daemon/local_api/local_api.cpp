#include "local_api/local_api.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "local_api/impl/door.h"
#include "local_api/impl/listener.h"
#include "local_api/impl/session.h"
#include "support/pause.h"
#include "support/task_group.h"

namespace neptune::local_api {

namespace asio = boost::asio;

namespace {

constexpr auto accept_pause = std::chrono::milliseconds(200);

/// Out of descriptors or memory: the next accept would fail at once, and again.
bool exhausted(boost::system::error_code error) {
  return error == asio::error::no_descriptors || error == boost::system::errc::too_many_files_open_in_system ||
         error == asio::error::no_memory || error == asio::error::no_buffer_space;
}

/// Says why and closes, without ever waiting: the few bytes fit into a fresh socket's buffer.
void turn_away(asio::local::stream_protocol::socket& socket, const Options& options, std::string message) {
  const auto answer = error_answer(503, "too_many_connections", std::move(message));
  const std::string text =
      "HTTP/1.1 503 Service Unavailable\r\nServer: neptune-syncd/" + options.version +
      "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(answer.body.size()) +
      "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" + answer.body;
  const auto ignored = ::send(socket.native_handle(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  static_cast<void>(ignored);
}

}  // namespace

class LocalApi::Impl {
 public:
  Impl(asio::any_io_executor executor, const Clock& clock, engine::Control& control, Options options, Listener listener)
      : executor_(executor),
        options_(std::move(options)),
        listener_(std::move(listener)),
        operators_(clock, options_.operator_group, options_.allow_users),
        door_(options_, Context{control, clock, parsing_, options_.operator_group}, operators_),
        background_(executor),
        sessions_(executor) {}

  void start() {
    background_.spawn("local_api.accept", accept());
    background_.spawn("local_api.bell", ring_on_events());
  }

  asio::awaitable<void> stop() {
    door_.stopping = true;
    listener_.close();
    co_await background_.stop();
    for (auto* connection : door_.connections)
      if (connection->idle) connection->stream.cancel();
    door_.ring();
    if (!co_await sessions_.drain(options_.stop_grace))
      spdlog::warn("local_api connections={} cut off: their answers were not taken in time", sessions_.size());
    co_await sessions_.stop();
  }

  void set_allow_users(AllowedUsers allow_users) { operators_.set_allow_users(std::move(allow_users)); }

  std::size_t connections() const { return door_.connections.size(); }

 private:
  asio::awaitable<void> accept() {
    auto& acceptor = listener_.acceptor();
    while (!door_.stopping) {
      asio::local::stream_protocol::socket socket(executor_);
      boost::system::error_code error;
      co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
      if (!error) {
        admit(std::move(socket));
      } else if (exhausted(error)) {
        spdlog::warn("local_api accept paused_ms={} error={:?}", accept_pause.count(), error.message());
        co_await pause(accept_pause);
      } else if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
        co_return;
      }
    }
  }

  void admit(asio::local::stream_protocol::socket socket) {
    const auto peer = peer_of(socket.native_handle());
    if (!peer) return;
    const bool runs_it = peer->uid == 0 || peer->uid == ::geteuid();
    const auto kept = runs_it ? 0 : std::min(options_.kept_connections, options_.max_connections);
    if (door_.connections.size() >= options_.max_connections - kept && !make_place(std::nullopt))
      return turn_away(socket, options_,
                       "neptune-syncd has as many connections as it takes (" +
                           std::to_string(options_.max_connections) + "). Try again in a moment.");
    const auto mine = door_.per_user.find(peer->uid);
    const bool has_many = mine != door_.per_user.end() && mine->second >= options_.max_connections_per_user;
    if (has_many && !make_place(peer->uid))
      return turn_away(socket, options_,
                       "You have as many connections as neptune-syncd takes of one user (" +
                           std::to_string(options_.max_connections_per_user) + "). Close some, or try again.");
    sessions_.spawn("local_api.session", serve(std::make_unique<Connection>(Stream(std::move(socket)), *peer, door_)));
  }

  /// Lets the connection go that has asked nothing for the longest time, of this user or of anybody.
  bool make_place(std::optional<uid_t> uid) {
    const auto idle_before = door_.context.clock.now() - options_.spare_idle;
    Connection* longest = nullptr;
    for (auto* each : door_.connections) {
      boost::system::error_code ignored;
      const bool rests = each->idle && !each->draining && each->idle_since <= idle_before;
      const bool meant = rests && (!uid || each->peer.uid == *uid);
      // What it has asked meanwhile may not be read yet.
      if (!meant || each->stream.socket().available(ignored) > 0) continue;
      if (!longest || each->idle_since < longest->idle_since) longest = each;
    }
    if (longest) longest->let_go();
    return longest != nullptr;
  }

  /// The one who waits at the engine for all event streams.
  asio::awaitable<void> ring_on_events() {
    auto& control = door_.context.control;
    auto last = control.last_event_id();
    for (;;) {
      const auto events = co_await control.events_after(last);
      last = std::max(control.last_event_id(), last + (events.empty() ? 0 : 1));
      door_.ring();
    }
  }

  asio::any_io_executor executor_;
  Options options_;
  Listener listener_;
  Operators operators_;
  WorkerPool parsing_{1};
  Door door_;
  TaskGroup background_;
  TaskGroup sessions_;
};

Result<std::unique_ptr<LocalApi>> LocalApi::open(asio::any_io_executor executor, const Clock& clock,
                                                 engine::Control& control, Options options) {
  auto listener = options.inherited_fd >= 0 ? Listener::adopt(executor, options.inherited_fd)
                                            : Listener::bind(executor, options.path, options.mode);
  if (!listener) return std::unexpected(listener.error());
  auto impl = std::make_unique<Impl>(executor, clock, control, std::move(options), std::move(*listener));
  return std::unique_ptr<LocalApi>(new LocalApi(std::move(impl)));
}

LocalApi::LocalApi(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalApi::~LocalApi() = default;

void LocalApi::start() {
  impl_->start();
}

asio::awaitable<void> LocalApi::stop() {
  return impl_->stop();
}

void LocalApi::set_allow_users(std::map<std::string, std::vector<std::string>> allow_users) {
  impl_->set_allow_users(std::move(allow_users));
}

std::size_t LocalApi::connections() const {
  return impl_->connections();
}

}  // namespace neptune::local_api
