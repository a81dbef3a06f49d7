#include "tests/unit/local_api/served.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <stdexcept>

namespace neptune::test {

namespace asio = boost::asio;

void FixedControl::happen(api::Event event) {
  event.id = ++last_id_;
  event.at = "2026-01-02T03:04:05.678Z";
  events_.push_back(std::move(event));
  while (events_.size() > events_kept) events_.pop_front();
  changed_.cancel();
}

void FixedControl::drain() {
  status_now.state = "draining";
  api::Event event;
  event.type = "draining";
  event.message = "The daemon stops.";
  happen(event);
}

std::vector<api::Stream> FixedControl::streams(const engine::StreamFilter& filter) const {
  ++const_cast<FixedControl*>(this)->streams_asked;
  std::vector<api::Stream> found;
  for (const auto& stream : streams_now) {
    if (filter.run && stream.container != *filter.run) continue;
    if (filter.project && stream.project != *filter.project && !stream.project.starts_with(*filter.project + "/"))
      continue;
    found.push_back(stream);
  }
  return found;
}

asio::awaitable<Result<std::vector<api::Stream>>> FixedControl::streams_of_file(engine::StreamFilter,
                                                                                std::string file) {
  if (failure) co_return std::unexpected(*failure);
  co_return streams_of_files[file];
}

asio::awaitable<Result<std::vector<api::Rejected>>> FixedControl::rejected(std::int64_t before, std::uint32_t limit) {
  if (failure) co_return std::unexpected(*failure);
  std::vector<api::Rejected> page;
  for (const auto& one : rejected_now)
    if (page.size() < limit && (before == 0 || one.id < before)) page.push_back(one);
  co_return page;
}

asio::awaitable<Result<api::ServerProjectList>> FixedControl::server_projects(std::string workspace) {
  if (failure) co_return std::unexpected(*failure);
  calls.push_back("projects " + workspace);
  api::ServerProjectList list;
  list.projects.push_back({workspace + "/lab", "private", false, "LAB", "A lab"});
  co_return list;
}

asio::awaitable<Result<api::MemberList>> FixedControl::members(ProjectName project) {
  if (failure) co_return std::unexpected(*failure);
  calls.push_back("members " + project.full());
  api::MemberList list;
  list.members.push_back({"jackie", "owner", false});
  co_return list;
}

asio::awaitable<Result<std::string>> FixedControl::rejected_payload(std::int64_t id) {
  if (stuck) {
    asio::steady_timer never(co_await asio::this_coro::executor, std::chrono::hours(1));
    co_await never.async_wait(asio::use_awaitable);
  }
  if (failure) co_return std::unexpected(*failure);
  calls.push_back("payload " + std::to_string(id));
  co_return payload;
}

asio::awaitable<Result<void>> FixedControl::retry_rejected(std::int64_t id) {
  if (failure) co_return std::unexpected(*failure);
  calls.push_back("retry " + std::to_string(id));
  co_return Result<void>();
}

asio::awaitable<Result<void>> FixedControl::discard_rejected(std::int64_t id, std::string) {
  if (failure) co_return std::unexpected(*failure);
  calls.push_back("discard " + std::to_string(id));
  co_return Result<void>();
}

asio::awaitable<std::vector<api::Event>> FixedControl::events_after(std::uint64_t after) {
  while (last_id_ <= after) {
    changed_.expires_at(asio::steady_timer::time_point::max());
    boost::system::error_code woken;
    co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error(asio::error::operation_aborted);
  }
  std::vector<api::Event> found;
  if (!events_.empty() && events_.front().id > after + 1) {
    auto& gap = found.emplace_back();
    gap.id = events_.front().id - 1;
    gap.type = "gap";
    gap.message = "Events were dropped.";
  }
  for (const auto& event : events_)
    if (event.id > after) found.push_back(event);
  co_return found;
}

asio::awaitable<engine::Accepted> FixedControl::accept(std::vector<Change> changes, Submitter by) {
  if (failure) co_return std::unexpected(engine::NotTaken(*failure, at_fault));
  std::vector<std::int64_t> ids;
  for (auto& change : changes) {
    accepted.emplace_back(std::move(change), by);
    ids.push_back(static_cast<std::int64_t>(accepted.size()));
  }
  co_return ids;
}

asio::awaitable<Result<api::ChangePlace>> FixedControl::change(std::int64_t id) {
  changes_asked++;
  if (failure) co_return std::unexpected(*failure);
  for (const auto& one : changes_now)
    if (one.id == id) co_return one;
  co_return fail("unknown_change", "No change " + std::to_string(id) + " was handed in over the socket here.");
}

asio::awaitable<api::Diagnosis> FixedControl::diagnose_way() {
  calls.emplace_back("doctor");
  asio::steady_timer arrival(co_await asio::this_coro::executor, way_takes);
  co_await arrival.async_wait(asio::use_awaitable);
  co_return diagnosis_of_way;
}

asio::awaitable<api::TidyReply> FixedControl::tidy(engine::TidyRequest request) {
  calls.push_back("tidy " + request.below + (request.dry_run ? " dry" : "") + (request.is_operator ? " operator" : "") +
                  " uid " + std::to_string(request.uid));
  co_return tidy_found;
}

api::FlushReply FixedControl::flush() {
  calls.emplace_back("flush");
  api::FlushReply reply;
  reply.pending = status_now.totals.pending;
  reply.held = status_now.totals.held;
  return reply;
}

Result<api::ScopeReply> FixedControl::note(std::string call, const Scope& scope, std::string mode) {
  if (failure) return std::unexpected(*failure);
  calls.push_back(std::move(call));
  api::ScopeReply reply;
  reply.name = scope.text();
  reply.mode = std::move(mode);
  reply.message = scope.text() + " is " + reply.mode + " now.";
  return reply;
}

asio::awaitable<Result<api::ScopeReply>> FixedControl::hold(Scope scope, std::string by) {
  co_return note("hold " + scope.text() + " by " + by, scope, "held");
}

asio::awaitable<Result<api::ScopeReply>> FixedControl::release(Scope scope, std::string by) {
  co_return note("release " + scope.text() + " by " + by, scope, "normal");
}

Result<api::ScopeReply> FixedControl::probe(const Scope& scope) {
  return note("probe " + scope.text(), scope, "read_only");
}

asio::awaitable<Result<api::DiscardReply>> FixedControl::discard_waiting(engine::DiscardRequest request) {
  if (failure) co_return std::unexpected(*failure);
  calls.push_back("discard " + std::string(request.everybodys ? "all" : "own") + " of " + request.scope.text() +
                  (request.run ? " " + *request.run : "") + " by " + request.by.name);
  api::DiscardReply reply;
  reply.scope = request.scope.text();
  reply.discarded = 12;
  reply.message = "12 changes were thrown away.";
  co_return reply;
}

asio::awaitable<Result<api::ReleasePlan>> FixedControl::plan_release(Scope scope) {
  if (failure) co_return std::unexpected(*failure);
  api::ReleasePlan plan;
  plan.scope = scope.text();
  plan.changes = releasable;
  plan.bytes = 4096;
  plan.seconds = 2.5;
  plan.message = "12 changes would go.";
  co_return plan;
}

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "neptune-front-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  path_ = name;
  ::chmod(path_.c_str(), 0755);
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Served::Served(local_api::Options options) : options_(std::move(options)) {
  if (options_.path.empty()) options_.path = folder_ / "api.sock";
  if (options_.version.empty()) options_.version = "1.2.3";
  path_ = options_.path.string();
  control_ = std::make_unique<FixedControl>(loop_.get_executor());
  control_->status_now.version = options_.version;
  control_->status_now.state = "running";
  control_->status_now.server.reachable = true;
  thread_ = std::thread([this] { loop_.run(); });
  restart();
}

void Served::restart() {
  on_loop([this](FixedControl& control) {
    auto opened = local_api::LocalApi::open(loop_.get_executor(), clock_, control, options_);
    if (!opened) throw std::runtime_error(opened.error().message);
    api_ = std::move(*opened);
    api_->start();
  });
}

std::chrono::milliseconds Served::stop() {
  const auto begin = std::chrono::steady_clock::now();
  if (api_) {
    asio::co_spawn(loop_, api_->stop(), asio::use_future).get();
    on_loop([this](FixedControl&) { api_.reset(); });
  }
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration_cast<std::chrono::milliseconds>(end - begin);
}

Served::~Served() {
  stop();
  work_.reset();
  loop_.stop();
  thread_.join();
}

bool Served::reaches_connections(std::size_t count) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (std::chrono::steady_clock::now() < give_up) {
    if (connections() == count) return true;
    std::this_thread::yield();
  }
  return false;
}

RawSocket::RawSocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

RawSocket RawSocket::as(uid_t uid, gid_t gid, const std::string& path) {
  // Credentials belong to a thread, and those it had when it connected are what the other side sees.
  std::optional<RawSocket> made;
  std::thread([&] {
    if (::syscall(SYS_setresgid, -1, gid, -1) == 0 && ::syscall(SYS_setresuid, -1, uid, -1) == 0)
      made.emplace(RawSocket(path));
  }).join();
  return made ? std::move(*made) : RawSocket();
}

RawSocket::~RawSocket() {
  if (fd_ >= 0) ::close(fd_);
}

RawSocket& RawSocket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return *this;
}

RawSocket& RawSocket::half_close() {
  ::shutdown(fd_, SHUT_WR);
  return *this;
}

bool RawSocket::read_more() {
  pollfd wait{fd_, POLLIN, 0};
  char buffer[65536];
  if (::poll(&wait, 1, 5000) <= 0) return false;
  const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
  if (n <= 0) return false;
  rest_.append(buffer, static_cast<std::size_t>(n));
  return true;
}

std::string RawSocket::read_until(std::string_view end) {
  std::size_t found;
  while ((found = rest_.find(end)) == std::string::npos)
    if (!read_more()) return std::exchange(rest_, {});
  auto text = rest_.substr(0, found + end.size());
  rest_.erase(0, found + end.size());
  return text;
}

std::string RawSocket::read_to_end() {
  while (read_more()) {
  }
  return std::exchange(rest_, {});
}

std::string RawSocket::read_response() {
  auto head = read_until("\r\n\r\n");
  const auto at = head.find("Content-Length: ");
  const auto length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
  while (rest_.size() < length && read_more()) {
  }
  head += rest_.substr(0, length);
  rest_.erase(0, length);
  return head;
}

std::string ask(const std::string& path, std::string_view method, std::string_view target,
                std::string_view headers_and_body) {
  RawSocket socket(path);
  socket.send(std::string(method) + " " + std::string(target) +
              " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + std::string(headers_and_body));
  return socket.read_to_end();
}

int status_of(std::string_view response) {
  return response.size() > 12 ? std::atoi(std::string(response.substr(9, 3)).c_str()) : 0;
}

std::string body_of(std::string_view response) {
  const auto end = response.find("\r\n\r\n");
  return end == std::string_view::npos ? "" : std::string(response.substr(end + 4));
}

}  // namespace neptune::test
