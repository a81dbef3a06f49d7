#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/control.h"
#include "local_api/local_api.h"
#include "support/clock.h"

namespace neptune::test {

/// An engine that says what it was told to say. Touch it on the loop only (Served::on_loop).
class FixedControl final : public engine::Control {
 public:
  explicit FixedControl(boost::asio::any_io_executor executor) : changed_(executor) {}

  api::Status status_now;
  std::vector<api::Stream> streams_now;
  std::vector<api::Rejected> rejected_now;  // newest first
  std::string payload = "payload";
  std::optional<Error> failure;         // of every call that can fail
  std::optional<std::size_t> at_fault;  // of the changes of a request that cannot be accepted
  std::size_t events_kept = 1000;
  std::vector<std::string> calls;  // "hold ml-team by root"
  std::vector<std::pair<Change, Submitter>> accepted;
  std::vector<api::ChangePlace> changes_now;
  std::size_t changes_asked = 0;
  api::Diagnosis diagnosis, diagnosis_of_way;
  std::chrono::milliseconds way_takes{0};
  std::uint64_t releasable = 12;  // changes, of a plan
  WorkspaceType type = WorkspaceType::unknown;
  std::size_t streams_asked = 0;
  bool stuck = false;  // rejected_payload never answers

  void happen(api::Event event);
  void drain();

  api::Status status() const override { return status_now; }
  std::vector<api::Stream> streams(const engine::StreamFilter& filter) const override;
  std::map<std::string, std::vector<api::Stream>> streams_of_files;
  boost::asio::awaitable<Result<std::vector<api::Stream>>> streams_of_file(engine::StreamFilter filter,
                                                                           std::string file) override;
  boost::asio::awaitable<Result<std::vector<api::Rejected>>> rejected(std::int64_t before,
                                                                      std::uint32_t limit) override;
  boost::asio::awaitable<Result<std::string>> rejected_payload(std::int64_t id) override;
  boost::asio::awaitable<Result<void>> retry_rejected(std::int64_t id) override;
  boost::asio::awaitable<Result<void>> discard_rejected(std::int64_t id, std::string by) override;
  boost::asio::awaitable<std::vector<api::Event>> events_after(std::uint64_t after) override;
  std::uint64_t last_event_id() const override { return last_id_; }
  boost::asio::awaitable<engine::Accepted> accept(std::vector<Change> changes, Submitter by) override;
  boost::asio::awaitable<Result<api::ChangePlace>> change(std::int64_t id) override;
  WorkspaceType workspace_type(std::string_view) const override { return type; }
  boost::asio::awaitable<Result<api::ServerProjectList>> server_projects(std::string workspace) override;
  boost::asio::awaitable<Result<api::MemberList>> members(ProjectName project) override;
  api::Diagnosis diagnose_box() override { return diagnosis; }
  boost::asio::awaitable<api::Diagnosis> diagnose_way() override;
  api::FlushReply flush() override;
  api::TidyReply tidy_found;
  boost::asio::awaitable<api::TidyReply> tidy(engine::TidyRequest request) override;
  boost::asio::awaitable<Result<api::DiscardReply>> discard_waiting(engine::DiscardRequest request) override;
  boost::asio::awaitable<Result<api::ScopeReply>> hold(Scope scope, std::string by) override;
  boost::asio::awaitable<Result<api::ScopeReply>> release(Scope scope, std::string by) override;
  Result<api::ScopeReply> probe(const Scope& scope) override;
  boost::asio::awaitable<Result<api::ReleasePlan>> plan_release(Scope scope) override;

 private:
  Result<api::ScopeReply> note(std::string call, const Scope& scope, std::string mode);

  boost::asio::steady_timer changed_;
  std::deque<api::Event> events_;
  std::uint64_t last_id_ = 0;
};

/// A temporary folder that others may look into.
class Folder {
 public:
  Folder();
  ~Folder();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A LocalApi at work on a thread of its own.
class Served {
 public:
  explicit Served(local_api::Options options = {});
  ~Served();

  /// Runs `f` with the control on the loop, and waits for it.
  template <class F>
  auto on_loop(F f) {
    std::packaged_task<std::invoke_result_t<F&, FixedControl&>()> task([this, &f] { return f(*control_); });
    auto done = task.get_future();
    boost::asio::post(loop_, [&task] { task(); });
    return done.get();
  }

  /// Stops the front door; how long that took. `restart` opens it again on the same path.
  std::chrono::milliseconds stop();
  void restart();

  std::size_t connections() {
    return on_loop([this](FixedControl&) { return api_->connections(); });
  }
  /// Waits until there are that many connections; false after five seconds.
  bool reaches_connections(std::size_t count);

  const std::string& path() const { return path_; }

 private:
  Folder folder_;
  local_api::Options options_;
  std::string path_;
  SystemClock clock_;
  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{loop_.get_executor()};
  std::unique_ptr<FixedControl> control_;
  std::unique_ptr<local_api::LocalApi> api_;
  std::thread thread_;
};

/// A bare client: what is sent and read is bytes. Every read gives up after five seconds.
class RawSocket {
 public:
  explicit RawSocket(const std::string& path);
  /// Connects with another user's credentials; needs root.
  static RawSocket as(uid_t uid, gid_t gid, const std::string& path);
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), rest_(std::move(other.rest_)) {}
  RawSocket& operator=(RawSocket&&) = delete;
  ~RawSocket();

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  RawSocket& send(std::string_view bytes);
  RawSocket& half_close();
  /// Up to and including `end`; what was there when it never came.
  std::string read_until(std::string_view end);
  std::string read_to_end();
  /// One response with a Content-Length.
  std::string read_response();

 private:
  RawSocket() = default;
  bool read_more();

  int fd_ = -1;
  std::string rest_;
};

/// One request on a connection of its own: the whole response.
std::string ask(const std::string& path, std::string_view method, std::string_view target,
                std::string_view headers_and_body = "\r\n");
int status_of(std::string_view response);
std::string body_of(std::string_view response);

}  // namespace neptune::test
