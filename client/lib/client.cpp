#include "client/lib/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <utility>

#include "client/lib/json.h"

namespace neptune::client {

namespace beast = boost::beast;
namespace http = beast::http;

namespace {

constexpr std::string_view system_socket = "/run/neptune-syncd/api.sock";
constexpr std::string_view system_token = "/etc/neptune-syncd/api-token";
constexpr std::size_t read_bytes = 16 << 10;
constexpr std::uint64_t max_answer_bytes = 256u << 20;
constexpr std::size_t max_line_bytes = 1 << 20;
constexpr auto busy_pause = std::chrono::milliseconds(10);

/// Milliseconds for poll(), rounded up, so that it never spins just before the deadline.
int poll_timeout(Deadline deadline) {
  if (deadline == Deadline::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

/// A connection by its descriptor; every wait is a poll() with a deadline.
class Socket {
 public:
  Socket() = default;
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }

  int descriptor() const { return fd_; }

  static Result<Socket> dial(const std::string& path, Deadline deadline);

  /// The errno, or 0. Whatever the other side has said already can still be read after EPIPE.
  int send(std::string_view bytes, Deadline deadline);
  /// How many bytes came; 0 at the end; else minus the errno, ETIMEDOUT when the deadline came first.
  ssize_t receive(char* to, std::size_t size, Deadline deadline);

 private:
  int wait(short events, Deadline deadline);

  int fd_ = -1;
};

/// Of the service as the package installs it: its units do nothing without a token.
bool lacks_token() {
  std::error_code ignored;
  return std::filesystem::exists("/lib/systemd/system/neptune-syncd.service", ignored) &&
         !std::filesystem::exists(system_token, ignored);
}

/// Where systemd has a unit of it, by that; `path` tells whose.
std::string how_to_start(const std::string& path) {
  std::error_code ignored;
  const auto is_there = [&ignored](const char* file) { return std::filesystem::exists(file, ignored); };
  if (is_there("/run/systemd/system")) {
    if (path == system_socket && is_there("/lib/systemd/system/neptune-syncd.service"))
      return "Start it (`systemctl start neptune-syncd`)";
    if (path != system_socket && is_there("/usr/lib/systemd/user/neptune-syncd.service"))
      return "Start it (`systemctl --user start neptune-syncd`)";
  }
  return "Start it (`neptune-syncd`)";
}

/// Where none is named, that of the system is looked for, and one of the user's own.
std::string also_looked_at(const std::string& path) {
  const bool is_named = std::getenv("NEPTUNE_SYNC_SOCKET") != nullptr;
  if (path != system_socket || is_named || ::getuid() == 0) return {};
  return ", nor one of your own at " + own_socket();
}

Error dial_error(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      if (path == system_socket && lacks_token())
        return {"daemon_not_running",
                "neptune-syncd is installed and has no API token yet, so that it was not started. Put the token into " +
                    std::string(system_token) + " (`sudo install -m 600 /dev/stdin " + std::string(system_token) +
                    "`), then `sudo systemctl start neptune-syncd.socket neptune-syncd.service`."};
      return {"daemon_not_running", "There is no neptune-syncd at " + path + also_looked_at(path) + ". " +
                                        how_to_start(path) +
                                        ", or name its socket with --socket or NEPTUNE_SYNC_SOCKET."};
    case ECONNREFUSED:
      return {"daemon_not_running",
              "neptune-syncd is not running: nobody answers on " + path + ". " + how_to_start(path) + "."};
    case EACCES:
    case EPERM:
      return {std::string(not_permitted),
              "You may not use " + path +
                  ": it is another user's, or lies where you may not go. Name the system's daemon (" +
                  std::string(system_socket) + ") or your own with --socket or NEPTUNE_SYNC_SOCKET."};
    case ENOTSOCK:
    case ENOTDIR:
    case EPROTOTYPE:
    case ENAMETOOLONG:
      return {"daemon_wrong_path", path +
                                       " is not a socket of neptune-syncd. Name it with --socket or "
                                       "NEPTUNE_SYNC_SOCKET."};
    case ETIMEDOUT:
      return {"daemon_timed_out",
              "neptune-syncd did not take the connection on " + path + " in time; it is overloaded."};
    default:
      return {"daemon_not_running", "neptune-syncd cannot be reached on " + path + ": " + std::strerror(error) + "."};
  }
}

Result<Socket> Socket::dial(const std::string& path, Deadline deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::unexpected(dial_error(path, ENAMETOOLONG));
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  Socket socket;
  socket.fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket.fd_ < 0) return std::unexpected(dial_error(path, errno));
  while (::connect(socket.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    // A full backlog; there is nothing to wait on but time.
    if (errno != EAGAIN && errno != EINTR) {
      const bool other_file =
          errno == ECONNREFUSED && std::filesystem::exists(path) && !std::filesystem::is_socket(path);
      return std::unexpected(dial_error(path, other_file ? ENOTSOCK : errno));
    }
    if (std::chrono::steady_clock::now() >= deadline) return std::unexpected(dial_error(path, ETIMEDOUT));
    ::poll(nullptr, 0, static_cast<int>(busy_pause.count()));
  }
  return socket;
}

int Socket::wait(short events, Deadline deadline) {
  for (;;) {
    pollfd entry{fd_, events, 0};
    const int ready = ::poll(&entry, 1, poll_timeout(deadline));
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
    if (std::chrono::steady_clock::now() >= deadline) return ETIMEDOUT;
  }
}

int Socket::send(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      if (const int error = wait(POLLOUT, deadline)) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

ssize_t Socket::receive(char* to, std::size_t size, Deadline deadline) {
  for (;;) {
    const auto n = ::recv(fd_, to, size, 0);
    if (n >= 0) return n;
    if (errno == EAGAIN) {
      if (const int error = wait(POLLIN, deadline)) return -error;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}

std::string in_words(std::chrono::milliseconds time) {
  const auto ms = time.count();
  return ms < 1000 ? std::to_string(ms) + " ms" : std::to_string(ms / 1000) + " s";
}

Error lost(const std::string& path, int error, std::chrono::milliseconds patience) {
  if (error == ETIMEDOUT)
    return {"daemon_timed_out",
            "neptune-syncd on " + path + " did not answer within " + in_words(patience) +
                ". Its log (`journalctl -u neptune-syncd`) may say why.",
            true};
  return {"daemon_lost",
          "neptune-syncd on " + path +
              " closed the connection before it had answered; it may be stopping "
              "or starting again.",
          true};
}

Error bad_answer(const std::string& path, const std::string& what) {
  return {"bad_answer", "What answers on " + path + " does not talk like neptune-syncd: " + what +
                            ". Name the right socket with --socket, or bring daemon and client to one version."};
}

/// One request and what comes back on its connection.
class Exchange {
 public:
  Exchange(std::string path, std::chrono::milliseconds patience) : path_(std::move(path)), patience_(patience) {
    parser_.header_limit(read_bytes);
    parser_.body_limit(max_answer_bytes);
    parser_.eager(true);
  }

  Result<void> ask(std::string_view method, const std::string& target, Deadline deadline, std::string_view body = {},
                   std::string_view body_type = {}) {
    auto socket = Socket::dial(path_, deadline);
    if (!socket) return std::unexpected(socket.error());
    socket_ = std::move(*socket);
    std::string head = std::string(method) + " " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    if (!body_type.empty()) head += "Content-Type: " + std::string(body_type) + "\r\n";
    head += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    int error = socket_.send(head, deadline);
    if (error == 0) error = socket_.send(body, deadline);
    // A daemon that turned us away may have answered and closed before we wrote all.
    if (error != 0 && error != EPIPE && error != ECONNRESET) return std::unexpected(lost(path_, error, patience_));
    return {};
  }

  bool has_head() const { return parser_.is_header_done(); }
  bool is_done() const { return parser_.is_done(); }
  unsigned status() const { return parser_.get().result_int(); }
  bool from_daemon() const {
    const auto server = parser_.get()[http::field::server];
    return std::string_view(server.data(), server.size()).starts_with("neptune-syncd/");
  }
  /// When the daemon says to ask again what it has not taken up.
  std::optional<std::chrono::seconds> come_back() const {
    if (status() != 429 && status() != 503) return std::nullopt;
    const auto field = parser_.get()[http::field::retry_after];
    const std::string_view text(field.data(), field.size());
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return std::chrono::seconds(seconds);
  }
  std::string& body() { return parser_.get().body(); }
  const std::string& path() const { return path_; }
  int descriptor() const { return socket_.descriptor(); }

  /// Takes in what comes next; false when the deadline came first.
  Result<bool> advance(Deadline deadline) {
    const auto space = buffer_.prepare(read_bytes);
    const auto n = socket_.receive(static_cast<char*>(space.data()), space.size(), deadline);
    if (n == -ETIMEDOUT) return false;
    boost::system::error_code error;
    if (n <= 0) {
      if (parser_.got_some()) parser_.put_eof(error);
      if (n < 0 || error || !parser_.is_done()) return std::unexpected(lost(path_, static_cast<int>(-n), patience_));
      return true;
    }
    buffer_.commit(static_cast<std::size_t>(n));
    buffer_.consume(parser_.put(buffer_.data(), error));
    if (error && error != http::error::need_more) return std::unexpected(bad_answer(path_, error.message()));
    return true;
  }

  Result<void> read_head(Deadline deadline) {
    while (!has_head()) {
      const auto advanced = advance(deadline);
      if (!advanced) return std::unexpected(advanced.error());
      if (!*advanced) return std::unexpected(lost(path_, ETIMEDOUT, patience_));
    }
    if (!from_daemon()) return std::unexpected(bad_answer(path_, "it does not name itself"));
    return {};
  }

  Result<void> read_to_end(Deadline deadline) {
    while (!is_done()) {
      const auto advanced = advance(deadline);
      if (!advanced) return std::unexpected(advanced.error());
      if (!*advanced) return std::unexpected(lost(path_, ETIMEDOUT, patience_));
    }
    return {};
  }

  /// The daemon's own error, when it is one.
  Result<void> check_status() {
    if (status() < 400) return {};
    const auto reply = api::from_json<api::ErrorReply>(body());
    if (!reply) return std::unexpected(bad_answer(path_, "status " + std::to_string(status()) + " without an error"));
    return fail(reply->code, reply->message, status() == 503 || status() == 429);
  }

  std::string field_at_fault() {
    if (status() < 400) return {};
    const auto reply = api::from_json<api::ErrorReply>(body());
    return reply ? reply->field.value_or("") : std::string();
  }

 private:
  std::string path_;
  std::chrono::milliseconds patience_;  // which the deadlines come from
  Socket socket_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
};

/// So that those who were told the same time do not all come at it.
std::chrono::milliseconds some_more() {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 500)(random));
}

std::string rejected_path(std::int64_t id) {
  return "/v1/rejected/" + std::to_string(id);
}

std::string scope_path(std::string_view scope, std::string_view verb) {
  return "/v1/scopes/" + percent_encode(scope) + "/" + std::string(verb);
}

}  // namespace

bool is_unreachable(const Error& error) {
  return error.code.starts_with("daemon_");
}

std::string percent_encode(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

class EventStream::Impl {
 public:
  Impl(std::string path, std::chrono::milliseconds patience) : exchange(std::move(path), patience) {}

  Exchange exchange;

  /// Takes the lines that are complete out of the body.
  Result<std::vector<Reply<api::Event>>> take() {
    auto& body = exchange.body();
    std::vector<Reply<api::Event>> events;
    std::size_t begin = 0;
    for (std::size_t end; (end = body.find('\n', begin)) != std::string::npos; begin = end + 1) {
      std::string line = body.substr(begin, end - begin);
      if (line.empty()) continue;
      auto event = api::from_json<api::Event>(line);
      if (!event) return std::unexpected(bad_answer(exchange.path(), event.error().message));
      events.push_back({std::move(*event), std::move(line)});
    }
    body.erase(0, begin);
    if (body.size() > max_line_bytes) return std::unexpected(bad_answer(exchange.path(), "an event has no end"));
    return events;
  }
};

EventStream::EventStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventStream::EventStream(EventStream&&) noexcept = default;
EventStream& EventStream::operator=(EventStream&&) noexcept = default;
EventStream::~EventStream() = default;

int EventStream::descriptor() const {
  return impl_->exchange.descriptor();
}

Result<std::vector<Reply<api::Event>>> EventStream::next(Deadline deadline) {
  for (;;) {
    auto events = impl_->take();
    if (!events || !events->empty()) return events;
    if (impl_->exchange.is_done())
      return fail("stream_ended", "The daemon has ended the event stream; it is stopping.", true);
    const auto advanced = impl_->exchange.advance(deadline);
    if (!advanced) return std::unexpected(advanced.error());
    if (!*advanced) return events;
  }
}

struct Client::Request {
  std::string_view method;
  const std::string& target;
  std::string_view body{}, body_type{};
  std::uint64_t copies = 0;
  std::chrono::milliseconds busy_patience{0};
};

Result<std::string> Client::call_once(const Request& request, std::optional<std::chrono::seconds>& come_back) const {
  const auto for_body = std::chrono::seconds(request.body.size() >> 20);
  const auto for_copies = std::chrono::seconds(request.copies >> 20);
  const auto patience = options_.timeout + for_body + for_copies;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  Exchange exchange(options_.socket, patience);
  if (const auto asked = exchange.ask(request.method, request.target, deadline, request.body, request.body_type);
      !asked)
    return std::unexpected(asked.error());
  if (const auto head = exchange.read_head(deadline); !head) return std::unexpected(head.error());
  if (const auto end = exchange.read_to_end(deadline); !end) return std::unexpected(end.error());
  if (options_.answered) *options_.answered = {exchange.status(), exchange.field_at_fault()};
  come_back = exchange.come_back();
  if (const auto fine = exchange.check_status(); !fine) return std::unexpected(fine.error());
  return std::move(exchange.body());
}

Result<std::string> Client::call(const Request& request) const {
  const auto give_up = std::chrono::steady_clock::now() + request.busy_patience;
  for (;;) {
    std::optional<std::chrono::seconds> come_back;
    auto answer = call_once(request, come_back);
    if (!come_back) return answer;
    const auto at = std::chrono::steady_clock::now() + *come_back + some_more();
    if (at > give_up) return answer;
    std::this_thread::sleep_until(at);
  }
}

template <class T>
Result<Reply<T>> Client::ask(std::string_view method, const std::string& target,
                             std::chrono::milliseconds busy_patience) const {
  auto body = call({.method = method, .target = target, .busy_patience = busy_patience});
  if (!body) return std::unexpected(body.error());
  auto value = api::from_json<T>(*body);
  if (!value) return std::unexpected(bad_answer(options_.socket, value.error().message));
  return Reply<T>{std::move(*value), std::move(*body)};
}

Result<Reply<api::Status>> Client::status() const {
  return ask<api::Status>("GET", "/v1/status");
}

Result<Reply<api::WorkspaceList>> Client::workspaces() const {
  return ask<api::WorkspaceList>("GET", "/v1/workspaces");
}

Result<Reply<api::ServerProjectList>> Client::server_projects(std::string_view workspace) const {
  return ask<api::ServerProjectList>("GET", "/v1/workspaces/" + percent_encode(workspace) + "/projects");
}

Result<Reply<api::MemberList>> Client::members(std::string_view project) const {
  return ask<api::MemberList>("GET", "/v1/projects/" + percent_encode(project) + "/members");
}

Result<Reply<api::StreamList>> Client::streams(const StreamQuery& query) const {
  std::string target = "/v1/streams";
  char separator = '?';
  if (query.project) target += std::exchange(separator, '&') + std::string("project=") + percent_encode(*query.project);
  if (query.run) target += std::exchange(separator, '&') + std::string("run=") + percent_encode(*query.run);
  if (query.file) target += std::exchange(separator, '&') + std::string("file=") + percent_encode(*query.file);
  return ask<api::StreamList>("GET", target);
}

Result<Reply<api::RejectedList>> Client::rejected(std::int64_t before, std::uint32_t limit) const {
  return ask<api::RejectedList>("GET",
                                "/v1/rejected?before=" + std::to_string(before) + "&limit=" + std::to_string(limit));
}

Result<Reply<api::Rejected>> Client::rejected_one(std::int64_t id) const {
  return ask<api::Rejected>("GET", rejected_path(id));
}

Result<std::string> Client::rejected_payload(std::int64_t id) const {
  const auto target = rejected_path(id) + "/payload";
  return call({.method = "GET", .target = target});
}

Result<Reply<api::RejectedReply>> Client::retry(std::int64_t id) const {
  return ask<api::RejectedReply>("POST", rejected_path(id) + "/retry");
}

Result<Reply<api::RejectedReply>> Client::discard(std::int64_t id) const {
  return ask<api::RejectedReply>("POST", rejected_path(id) + "/discard");
}

Result<Reply<api::ChangePlace>> Client::change(std::int64_t id) const {
  return ask<api::ChangePlace>("GET", "/v1/changes/" + std::to_string(id));
}

Client Client::with_patience(std::chrono::milliseconds timeout) const {
  auto options = options_;
  options.timeout = timeout;
  return Client(options);
}

/// What all who are no operators may ask for once a second, together.
template <class T>
Result<Reply<T>> Client::nudge(const std::string& target) const {
  return ask<T>("POST", target, std::chrono::seconds(5));
}

Result<Reply<api::Diagnosis>> Client::diagnose_box() const {
  return ask<api::Diagnosis>("GET", "/v1/doctor");
}

Result<Reply<api::Diagnosis>> Client::diagnose_way() const {
  return with_patience(std::chrono::minutes(5)).nudge<api::Diagnosis>("/v1/doctor?part=server");
}

Result<Reply<api::FlushReply>> Client::flush() const {
  return nudge<api::FlushReply>("/v1/flush");
}

Result<Reply<api::TidyReply>> Client::tidy(const std::string& below, bool dry_run) const {
  const auto target = std::string("/v1/tidy?dry_run=") + (dry_run ? "1" : "0") +
                      (below.empty() ? "" : "&below=" + percent_encode(below));
  return with_patience(std::chrono::minutes(5)).ask<api::TidyReply>("POST", target);
}

Result<Reply<api::ScopeReply>> Client::hold(std::string_view scope) const {
  return ask<api::ScopeReply>("POST", scope_path(scope, "hold"));
}

Result<Reply<api::ScopeReply>> Client::release(std::string_view scope) const {
  return ask<api::ScopeReply>("POST", scope_path(scope, "release"));
}

Result<Reply<api::DiscardReply>> Client::discard_waiting(std::string_view scope, std::string_view kind,
                                                         std::string_view container) const {
  auto target = scope_path(scope, "discard");
  if (!kind.empty()) target += "?" + std::string(kind) + "=" + percent_encode(container);
  return with_patience(std::chrono::minutes(10)).ask<api::DiscardReply>("POST", target);
}

Result<Reply<api::ScopeReply>> Client::probe(std::string_view scope) const {
  return nudge<api::ScopeReply>(scope_path(scope, "probe"));
}

Result<Reply<api::ReleasePlan>> Client::plan_release(std::string_view scope) const {
  return with_patience(std::chrono::minutes(2)).ask<api::ReleasePlan>("POST", scope_path(scope, "release?dry_run=1"));
}

Result<Reply<api::SubmitReply>> Client::submit(std::string_view body, const Submission& how) const {
  std::string query;
  if (!how.project.empty()) query += "&project=" + percent_encode(how.project);
  if (how.first_line != 1) query += "&first_line=" + std::to_string(how.first_line);
  if (!query.empty()) query.front() = '?';
  auto json = call({.method = "POST",
                    .target = "/v1/changes" + query,
                    .body = body,
                    .body_type = how.content_type,
                    .copies = how.copies,
                    .busy_patience = options_.busy_patience});
  if (!json) {
    auto error = json.error();
    if (error.code == "daemon_lost" || error.code == "daemon_timed_out")
      error.message +=
          " Whether it took the changes is not known: handing them in again is safe when each has an "
          "idempotency key.";
    return std::unexpected(std::move(error));
  }
  auto value = api::from_json<api::SubmitReply>(*json);
  if (!value) return std::unexpected(bad_answer(options_.socket, value.error().message));
  return Reply<api::SubmitReply>{std::move(*value), std::move(*json)};
}

Result<EventStream> Client::events(std::optional<std::uint64_t> since, bool follow) const {
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  std::string target = std::string("/v1/events?follow=") + (follow ? "1" : "0");
  if (since) target += "&since=" + std::to_string(*since);
  auto impl = std::make_unique<EventStream::Impl>(options_.socket, options_.timeout);
  auto& exchange = impl->exchange;
  if (const auto asked = exchange.ask("GET", target, deadline); !asked) return std::unexpected(asked.error());
  if (const auto head = exchange.read_head(deadline); !head) return std::unexpected(head.error());
  if (exchange.status() >= 400) {
    if (const auto end = exchange.read_to_end(deadline); !end) return std::unexpected(end.error());
    return std::unexpected(exchange.check_status().error());
  }
  return EventStream(std::move(impl));
}

}  // namespace neptune::client
