// What the service manager is told, and how it starts the daemon.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "tests/integration/loss_log.h"
#include "tests/integration/support/sqlite.h"
#include "tests/systemd/service.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;

TEST(ServiceManager, IsToldOfTheStartOfAReloadAndOfTheEnd) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  EXPECT_TRUE(service.manager().wait("STATUS=All is synced", 5s));
  EXPECT_TRUE(service.reload());
  EXPECT_EQ(service.told("RELOADING=1"), 1);
  EXPECT_TRUE(std::ranges::any_of(service.manager().lines(),
                                  [](const auto& line) { return line.starts_with("MONOTONIC_USEC="); }));
  service.daemon().signal(SIGTERM);
  EXPECT_TRUE(service.manager().wait("STOPPING=1", 10s));
  EXPECT_EQ(service.daemon().wait(20s), 0);
}

TEST(ServiceManager, ShowsWhatIsReadOnlyAndWhyAndThenThatAllIsSynced) {
  Box box({.sandbox_args = {"--workspace", "full:team"},
           .server = {},
           .config = "[read_only]\nprobe_interval = \"1s\"\nprobe_interval_max = \"1s\"\nrelease_ramp = \"0s\"\n",
           .start = false});
  box.sandbox().control(R"({"workspace": "full", "mode": "read_only", "style": "http_402", "reason": "no room"})");
  write_loss_log(box, "full/one", "r-1", 50);
  Service service(box);
  EXPECT_TRUE(service.tells("STATUS=full is read-only (no room", "; 51 changes wait on disk"))
      << service.manager().lines().back();
  box.sandbox().control(R"({"workspace": "full", "mode": "normal"})");
  EXPECT_TRUE(service.manager().wait("STATUS=All is synced", 20s)) << service.manager().lines().back();
}

TEST(ServiceManager, ShowsAFolderThatIsNotThere) {
  Box box({.server = {}, .config = "[[watch]]\npath = \"@DIR@/not-there\"\n", .start = false});
  Service service(box);
  EXPECT_TRUE(
      service.tells("STATUS=" + (box.dir() / "not-there").string() + " is not there yet;", "as soon as it is made"))
      << service.manager().lines().back();
}

TEST(Watchdog, IsFedOnlyWhileTheStoreAnswers) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box, {{"WATCHDOG_USEC", "600000"}});
  ASSERT_TRUE(service.manager().wait("WATCHDOG=1", 5s));
  const auto another = sqlite::open(box.dir() / "state" / "memory.sqlite3");
  sqlite::exec(another, "BEGIN IMMEDIATE");
  service.manager().wait("nothing", 500ms);  // one may have been on its way
  const auto before = service.told("WATCHDOG=1");
  service.manager().wait("nothing", 1200ms);
  EXPECT_EQ(service.told("WATCHDOG=1"), before) << "a daemon that can record nothing does not count as alive";
  EXPECT_EQ(box.get("/v1/status").at("state").as_string(), "running") << "while its loop goes on";
  sqlite::exec(another, "ROLLBACK");
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (service.told("WATCHDOG=1") == before && std::chrono::steady_clock::now() < until)
    service.manager().wait("nothing", 50ms);
  EXPECT_GT(service.told("WATCHDOG=1"), before);
}

/// The daemon's log after a reload of a configuration that is wrong; `inode_off`: how far JOURNAL_STREAM is from it.
std::string log_with_journal_stream(Box& box, ino_t inode_off) {
  const auto file = box.dir() / "output" / "neptune-syncd.err";
  std::ofstream(file, std::ios::app).flush();
  struct stat info{};
  EXPECT_EQ(::stat(file.c_str(), &info), 0);
  Service service(box,
                  {{"JOURNAL_STREAM", std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino + inode_off)}});
  edit_config(box, "[[watch]]", "[[watch]]\ntakeover_after = \"soon\"");
  EXPECT_TRUE(service.reload());
  edit_config(box, "[[watch]]\ntakeover_after = \"soon\"", "[[watch]]");
  return service.daemon().err();
}

TEST(Journal, IsToldTheLevelOfEachLineAndNobodyElseIs) {
  Box box({.server = {}, .config = {}, .start = false});
  const auto journal = log_with_journal_stream(box, 0);
  EXPECT_TRUE(journal.starts_with("<6>level=info ") || journal.starts_with("<7>level=debug ")) << journal;
  EXPECT_NE(journal.find("\n<3>level=error not reloaded"), std::string::npos) << journal;
  const auto redirected = log_with_journal_stream(box, 1);
  EXPECT_EQ(redirected.find('<'), std::string::npos) << redirected;
  EXPECT_TRUE(redirected.starts_with("20")) << "the time: " << redirected;
}

TEST(SocketActivation, TheFirstCallerIsAnsweredByADaemonThatStartsForIt) {
  const std::filesystem::path activate = "/usr/bin/systemd-socket-activate";
  if (!std::filesystem::exists(activate)) GTEST_SKIP() << "systemd is not installed here";
  Box box({.server = {}, .config = {}, .start = false});
  write_loss_log(box, "ml-team/lab", "r-1", 10);
  const auto socket = (box.dir() / "activated.sock").string();
  Process daemon({.binary = activate,
                  .args = {"-l", socket, binary("neptune-syncd"), "--config", box.dir() / "config.toml"},
                  .env = {},
                  .unset_env = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "NEPTUNE_API_TOKEN"},
                  .output_dir = box.dir() / "output",
                  .name = {},
                  .working_dir = {}});
  ASSERT_TRUE(daemon.wait_for_error_line("Listening on " + socket)) << daemon.err();
  const auto ran = ask(box, socket, {"wait", "--run", "r-1", "--timeout", "20s"});
  EXPECT_EQ(ran.status, 0) << ran.err << daemon.err();
  EXPECT_FALSE(std::filesystem::exists(box.socket())) << "it made no socket of its own";
  EXPECT_EQ(daemon.terminate(20s), 0);
  EXPECT_TRUE(std::filesystem::exists(socket)) << "the socket is the service manager's, and stays";
}

}  // namespace
}  // namespace neptune::testing
