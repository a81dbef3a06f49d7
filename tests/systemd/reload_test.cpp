// SIGHUP: tokens, watched folders and limits are read anew, and nothing that is under way notices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>

#include "tests/integration/loss_log.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/systemd/service.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A log of a run with points at `points` steps, closed, in a folder of the box.
void write_log(const Box& box, const std::string& folder, const std::string& run, std::uint64_t points) {
  RunLogWriter log(
      {.directory = box.dir() / folder, .project = "ml-team/lab", .run = run, .experiment = {}, .fork = {}});
  for (std::uint64_t step = 0; step < points; ++step) log.append(step * 1'000'000, {{"loss", 0.5}});
  log.close(false);
}

std::int64_t synced(const boost::json::value& status) {
  return status.at("totals").at("synced").as_int64();
}

bool has_source(const boost::json::value& status, const std::string& part) {
  for (const auto& source : status.at("sources").as_array())
    if (source.at("path").as_string().find(part) != std::string_view::npos) return true;
  return false;
}

TEST(Reload, FollowsAFolderThatWasAddedAndLetsGoOfOneThatWasTakenOut) {
  Box box({.server = {}, .config = {}, .start = false});
  write_log(box, "runs", "r-1", 9);
  write_log(box, "more", "r-2", 9);
  Service service(box);
  ASSERT_TRUE(box.wait_status([](const auto& status) { return synced(status) == 10; }).first);

  edit_config(box, "/runs\"", "/more\"");
  ASSERT_TRUE(service.reload());
  const auto [moved, status] =
      box.wait_status([](const auto& s) { return synced(s) == 20 && !has_source(s, "/runs"); });
  EXPECT_TRUE(moved) << boost::json::serialize(status);
  EXPECT_TRUE(has_source(status, "/more"));
  write_log(box, "runs", "r-3", 9);

  edit_config(box, "/more\"", "/runs\"");
  ASSERT_TRUE(service.reload());
  const auto [back, then] = box.wait_status([](const auto& s) { return synced(s) == 30 && has_source(s, "/runs"); });
  EXPECT_TRUE(back) << boost::json::serialize(then);
  EXPECT_EQ(box.sandbox().state("summary=1").at("order_violations").as_int64(), 0);
}

TEST(Reload, WhatIsUnderWayGoesOn) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  const Process job({.binary = binary("run-log-writer"),
                     .args = {"--dir", box.runs(), "--project", "ml-team/lab", "--run", "r-1", "--ops", "150",
                              "--interval-ms", "5", "--keep"},
                     .env = {},
                     .unset_env = {},
                     .output_dir = box.dir() / "output",
                     .name = {},
                     .working_dir = {}});
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(service.reload()) << service.daemon().err();
    EXPECT_EQ(
        box.hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-2", "append": {"x": 1}, "step": )" +
                    std::to_string(i) + "}")
            .first,
        202u);
  }
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "30s"}).status, 0);
  const auto state = box.sandbox().state("summary=1");
  EXPECT_EQ(state.at("order_violations").as_int64(), 0);
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

/// One connection to the daemon, which never makes a second one by itself.
class Connection {
 public:
  explicit Connection(const std::filesystem::path& socket) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) ADD_FAILURE() << errno;
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(fd_); }

  void send(const std::string& bytes) {
    EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  /// What came so far, once `part` is in it; also when the connection was closed before.
  std::string read_until(const std::string& part) {
    std::array<char, 4096> piece{};
    while (came_.find(part) == std::string::npos) {
      const auto size = ::recv(fd_, piece.data(), piece.size(), 0);
      if (size <= 0) break;
      came_.append(piece.data(), static_cast<std::size_t>(size));
    }
    return came_;
  }

 private:
  int fd_;
  std::string came_;
};

TEST(Reload, EndsNoConnectionAndSendsNothingTwice) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  const std::string create = R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})";
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "delay_ms": 1500, "times": 1}})");
  Connection events(box.socket());
  events.send("GET /v1/events?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(events.read_until("\r\n\r\n").find("200 OK"), std::string::npos);
  ASSERT_EQ(box.hand_in(create).first, 202u);
  const auto struck = [](const boost::json::value& state) { return state.at("faults_struck").as_int64() == 1; };
  ASSERT_TRUE(box.sandbox().wait_for(struck).first) << "a request is on its way, and not answered";
  Connection half(box.socket());
  const std::string update = R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"a": 1}})";
  half.send("POST /v1/changes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
            std::to_string(update.size()) + "\r\n\r\n" + update.substr(0, 20));

  for (int i = 0; i < 2; ++i) ASSERT_TRUE(service.reload()) << service.daemon().err();

  half.send(update.substr(20));
  EXPECT_NE(half.read_until("\"accepted\":1").find("202 Accepted"), std::string::npos) << "the body's other half";
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--now", "--timeout", "30s"}).status, 0);
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  EXPECT_NE(events.read_until("\"hold\"").find("\"hold\""), std::string::npos) << "still told of what happens";
  const auto state = box.sandbox().state("summary=1");
  EXPECT_EQ(state.at("duplicates").at("creates").as_int64(), 0);
  std::int64_t sent = 0;
  for (const auto& [endpoint, answers] : state.at("requests").as_object())
    if (endpoint.ends_with("/ingest"))
      for (const auto& [status, count] : answers.as_object()) sent += count.as_int64();
  EXPECT_EQ(sent, 2) << boost::json::serialize(state.at("requests"));
}

TEST(Reload, TakesUpTheLimitsOfTheQueue) {
  Box box({.server = {}, .config = "[queue]\nmax_bytes = \"20MiB\"\nmin_free_disk = \"0\"\n", .start = false});
  Service service(box);
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto change = R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"note": ")" +
                      std::string(900'000, 'x') + R"("}})";
  EXPECT_EQ(box.hand_in(change).first, 202u);
  edit_config(box, "20MiB", "1MiB");
  ASSERT_TRUE(service.reload());
  const auto [refused, answer] = box.hand_in(change);
  EXPECT_EQ(refused, 507u) << boost::json::serialize(answer);
  edit_config(box, "1MiB", "20MiB");
  ASSERT_TRUE(service.reload());
  EXPECT_EQ(box.hand_in(change).first, 202u);
}

TEST(Reload, AConfigurationThatIsWrongChangesNothingAndSaysWhere) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  edit_config(box, "[[watch]]", "[[watch]]\ntakeover_after = \"soon\"");
  EXPECT_TRUE(service.reload()) << "the service manager is told that the reload has ended";
  const auto log = service.daemon().err();
  EXPECT_NE(log.find("level=error not reloaded error="), std::string::npos) << log;
  EXPECT_NE(log.find("takeover_after"), std::string::npos) << log;
  EXPECT_NE(log.find("everything stays as it was"), std::string::npos) << log;
  const auto told = box.get("/v1/status");
  const auto& problems = told.at("problems").as_array();
  ASSERT_EQ(problems.size(), 1u) << boost::json::serialize(problems);
  EXPECT_NE(problems[0].as_string().find("takeover_after"), boost::json::string::npos) << problems[0];
  write_log(box, "runs", "r-1", 9);
  EXPECT_TRUE(box.wait_status([](const auto& status) { return synced(status) == 10; }).first);
  edit_config(box, "takeover_after = \"soon\"", "takeover_after = \"10m\"");
  EXPECT_TRUE(service.reload());
  EXPECT_TRUE(box.get("/v1/status").at("problems").as_array().empty());
}

TEST(Reload, ATokenThatCannotBeUsedIsAProblemUntilItIsMended) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  const auto token = box.sandbox().token_file();
  std::filesystem::permissions(token, std::filesystem::perms{0644});
  ASSERT_TRUE(service.reload());
  EXPECT_NE(
      service.daemon().err().find("level=error token not taken up workspace=* code=token_file_readable_by_others"),
      std::string::npos)
      << service.daemon().err();
  // It syncs on, and says all the same what would become of it after a restart.
  write_log(box, "runs", "r-1", 9);
  ASSERT_TRUE(box.wait_status([](const auto& status) { return synced(status) == 10; }).first);
  const auto status = box.sync({"status"}).out;
  EXPECT_NE(status.find("is not used"), std::string::npos) << status;
  EXPECT_NE(status.find("chmod 600"), std::string::npos) << status;
  std::filesystem::permissions(token, std::filesystem::perms{0600});
  ASSERT_TRUE(service.reload());
  EXPECT_TRUE(box.get("/v1/status").at("problems").as_array().empty());
}

/// What `doctor` says where it finds the daemon's program next to its own, as it is installed.
std::string diagnosis_where_installed(const Box& box) {
  const auto bin = box.dir() / "bin";
  std::filesystem::create_directory(bin);
  std::filesystem::copy_file(binary("neptune-sync"), bin / "neptune-sync");
  std::filesystem::create_symlink(binary("neptune-syncd"), bin / "neptune-syncd");
  Process doctor({.binary = bin / "neptune-sync",
                  .args = {"--socket", box.socket(), "doctor"},
                  .env = {},
                  .unset_env = {},
                  .output_dir = box.dir() / "output",
                  .name = "doctor",
                  .working_dir = {}});
  doctor.wait(60s);
  return doctor.out();
}

TEST(Reload, ATokenThatCannotBeUsedFailsTheDiagnosisAndItsRemedyIsInTheStatus) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  const auto token = box.sandbox().token_file();
  const auto good = box.dir() / "good-token";
  std::filesystem::copy_file(token, good);
  const auto put_back = [&] {
    std::filesystem::remove(token);
    std::filesystem::copy_file(good, token);
  };
  const auto remedy = "Put a valid API token into " + token.string() + ", then `systemctl reload neptune-syncd`.";
  const auto expect_told = [&](const std::string& what) {
    ASSERT_TRUE(service.reload());
    const auto doctor = box.sync({"doctor"});
    EXPECT_EQ(doctor.status, 1);
    EXPECT_THAT(doctor.out, AllOf(HasSubstr("fail  token"), HasSubstr(what), HasSubstr(remedy)));
    EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr("is not used"), HasSubstr(what), HasSubstr(remedy)));
  };
  std::filesystem::remove(token);
  expect_told("No such file");
  EXPECT_THAT(diagnosis_where_installed(box),
              AllOf(HasSubstr("config.toml can be used\n"),
                    HasSubstr("warn  config      the API token file " + token.string())));
  put_back();
  std::filesystem::permissions(token, std::filesystem::perms{0644});
  expect_told("chmod 600");
  put_back();
  std::ofstream(token) << "junk!";
  expect_told("is not base64");
  put_back();
  ASSERT_TRUE(service.reload());
  EXPECT_EQ(box.sync({"doctor"}).status, 0) << box.sync({"doctor"}).out;
}

TEST(Reload, ATokenThatCameLateEndsWhatWasToldOfItsAbsence) {
  Box box({.server = {}, .config = {}, .start = false});
  const auto token = box.sandbox().token_file();
  const auto good = box.dir() / "good-token";
  std::filesystem::rename(token, good);
  Service service(box);
  EXPECT_THAT(box.sync({"status"}).out, HasSubstr("No such file"));
  std::filesystem::rename(good, token);
  ASSERT_TRUE(service.reload());
  EXPECT_THAT(box.sync({"status"}).out, Not(AnyOf(HasSubstr("No such file"), HasSubstr("cannot be reached"))));
  EXPECT_EQ(box.sync({"doctor"}).status, 0);
}

TEST(Reload, SaysWhichKeysNeedARestart) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  edit_config(box, "api.sock", "other.sock");
  EXPECT_TRUE(service.reload());
  EXPECT_NE(service.daemon().err().find(
                "level=warn config changed key=\"socket\"; that takes hold when the daemon is restarted"),
            std::string::npos);
  EXPECT_EQ(box.sync({"status"}).status, 0) << "it is where it was";
}

}  // namespace
}  // namespace neptune::testing
