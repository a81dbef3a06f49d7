// What is asked of a daemon that does not run: before it is started, and before its package is removed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tests/systemd/service.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Ran check(const Box& box, const std::string& flag, const std::vector<std::string>& more = {}) {
  std::vector<std::string> args{"--config", box.dir() / "config.toml", flag};
  args.insert(args.end(), more.begin(), more.end());
  Process process({.binary = binary("neptune-syncd"),
                   .args = std::move(args),
                   .env = {},
                   .unset_env = {},
                   .output_dir = box.dir() / "output",
                   .name = "check",
                   .working_dir = {}});
  const auto status = process.wait(20s);
  return {status.value_or(-1), process.out(), process.err()};
}

TEST(CheckUnsent, TellsWhetherTheQueueOfAStoppedDaemonHoldsChanges) {
  Box box({.server = {}, .config = {}, .start = false});
  EXPECT_EQ(check(box, "--check-unsent").status, 0) << "there is no queue yet";
  box.start_daemon();
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  ASSERT_EQ(box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})").first, 202u);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto held = check(box, "--check-unsent");
  EXPECT_EQ(held.status, 1);
  EXPECT_NE(held.err.find("holds changes that are not on the server"), std::string::npos) << held.err;
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto sent = check(box, "--check-unsent");
  EXPECT_EQ(sent.status, 0) << sent.err;
}

TEST(CheckUnsent, TellsOfRejectedChangesThatAreKept) {
  Box box;
  const auto file = box.dir() / "plot.png";
  std::ofstream(file) << "a plot";
  box.sandbox().control(R"({"fault": {"path": "/storage/", "status": 405}})");
  ASSERT_EQ(box.hand_in(R"([{"kind": "run.create", "project": "ml-team/lab", "run": "r-1"},
                            {"kind": "run.upload", "project": "ml-team/lab", "run": "r-1", "attribute": "plot", "file": ")" +
                        file.string() + "\"}]")
                .first,
            202u);
  const auto rejected = [](const boost::json::value& status) {
    return status.at("totals").at("rejected").to_number<int>() == 1 &&
           status.at("totals").at("pending").to_number<int>() == 0 &&
           status.at("totals").at("in_flight").to_number<int>() == 0;
  };
  ASSERT_TRUE(box.wait_status(rejected).first);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto kept = check(box, "--check-unsent");
  EXPECT_EQ(kept.status, 1);
  EXPECT_NE(kept.err.find("keeps 1 rejected change. "), std::string::npos) << kept.err;
  EXPECT_EQ(kept.err.find("not on the server"), std::string::npos) << kept.err;
  box.start_daemon();
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  ASSERT_EQ(box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-2"})").first, 202u);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto both = check(box, "--check-unsent");
  EXPECT_EQ(both.status, 1);
  EXPECT_NE(both.err.find("keeps 1 rejected change. "), std::string::npos) << both.err;
  EXPECT_NE(both.err.find("holds changes that are not on the server"), std::string::npos) << both.err;
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  ASSERT_TRUE(box.wait_status(rejected).first);
  ASSERT_EQ(box.sync({"rejected", "discard", "1"}).status, 0);
  ASSERT_EQ(box.stop_daemon(), 0);
  EXPECT_EQ(check(box, "--check-unsent").status, 0);
}

TEST(CheckConfig, TellsWhatTheDaemonWouldGoByAndWhatItWouldMiss) {
  Box box({.server = {},
           .config =
               "[[watch]]\npath = \"@DIR@/rnus\"\n[[workspace]]\nname = \"vision\"\napi_token_file = \"@DIR@/none\"\n",
           .start = false});
  const auto found = check(box, "--check-config");
  EXPECT_EQ(found.status, 0) << found.err;
  const auto file = (box.dir() / "config.toml").string();
  EXPECT_TRUE(found.out.starts_with(file + " can be used, but see the warning:\nwarning: the API token file " +
                                    (box.dir() / "none").string() + " cannot be read"))
      << found.out;
  EXPECT_NE(found.out.find("Watched: " + box.runs().string() + " (kind run-logs).\n"), std::string::npos) << found.out;
  EXPECT_NE(found.out.find("/rnus (kind auto), which is not there yet.\n"), std::string::npos) << found.out;
  EXPECT_NE(found.out.find("The API token is read from " + box.sandbox().token_file().string()), std::string::npos);
  EXPECT_NE(found.out.find("; it is for " + box.sandbox().url()), std::string::npos) << found.out;
  std::ofstream(box.dir() / "none") << std::ifstream(box.sandbox().token_file()).rdbuf();
  std::filesystem::permissions(box.dir() / "none", std::filesystem::perms{0600});
  EXPECT_TRUE(check(box, "--check-config").out.starts_with(file + " is fine.\n"));
  edit_config(box, "kind = \"run-logs\"", "kind = \"run-logs\"\ncleanup_aftr = \"1h\"");
  const auto unknown = check(box, "--check-config");
  EXPECT_EQ(unknown.status, 0) << "the daemon starts with it: " << unknown.err;
  EXPECT_EQ(unknown.out.find("is fine"), std::string::npos) << unknown.out;
  EXPECT_NE(unknown.out.find("did you mean watch.cleanup_after?"), std::string::npos) << unknown.out;
  edit_config(box, "kind = \"run-logs\"", "kind = \"runs\"");
  const auto wrong = check(box, "--check-config");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(wrong.err.find("kind"), std::string::npos) << wrong.err;
}

TEST(CheckConfig, WarnsOfUsersAndOfAStateDirectoryThatCannotBe) {
  Box box({.server = {},
           .config = "[[workspace]]\nname = \"vision\"\nallow_users = [\"root\", \"nosuchuser\"]\n",
           .start = false});
  const auto users = check(box, "--check-config");
  EXPECT_EQ(users.status, 0) << users.err;
  EXPECT_NE(users.out.find("warning: allow_users of workspace vision names 'nosuchuser', whom"), std::string::npos)
      << users.out;
  EXPECT_EQ(users.out.find("'root'"), std::string::npos) << users.out;
  for (const auto& [dir, why] : {std::pair{std::string("/proc/x"), "the kernel's own"},
                                 {(box.dir() / "config.toml/state").string(), "config.toml is no directory"},
                                 {(box.dir() / "config.toml").string(), "is no directory"}}) {
    const auto config = "state_dir = \"" + dir + "\"\n";
    std::ofstream(box.dir() / "other.toml") << config;
    Process process({.binary = binary("neptune-syncd"),
                     .args = {"--config", box.dir() / "other.toml", "--check-config"},
                     .env = {},
                     .unset_env = {},
                     .output_dir = box.dir() / "output",
                     .name = "other",
                     .working_dir = {}});
    process.wait(20s);
    EXPECT_NE(process.out().find("warning: the state directory " + dir + " cannot be "), std::string::npos)
        << process.out();
    EXPECT_NE(process.out().find(why), std::string::npos) << process.out();
  }
}

TEST(CheckConfig, WarnsOfAWatchedPathThatIsNoDirectory) {
  Box box({.server = {}, .config = {}, .start = false});
  std::filesystem::remove(box.runs());
  EXPECT_EQ(check(box, "--check-config").out.find("warning"), std::string::npos) << "it may come yet";
  std::ofstream(box.runs()) << "a file";
  const auto found = check(box, "--check-config");
  EXPECT_EQ(found.status, 0) << "the daemon starts with it: " << found.err;
  EXPECT_NE(found.out.find("warning: " + box.runs().string() + ", which is to be watched, is no directory\n"),
            std::string::npos)
      << found.out;
}

TEST(CheckConfig, DoesNotTakeJunkForAToken) {
  Box box({.server = {}, .config = {}, .start = false});
  const auto token = box.sandbox().token_file();
  for (const auto& [text, what] : {std::pair{"not a token", "something besides one API token"},
                                   {"bm90IEpTT04=", "does not hold a JSON object"},
                                   {"junk!", "is not base64"},
                                   {"", "is empty"}}) {
    std::ofstream(token) << text;
    const auto refused = check(box, "--check-config");
    EXPECT_EQ(refused.status, 1) << text << ": " << refused.out;
    EXPECT_NE(refused.err.find(what), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find(token.string()), std::string::npos) << refused.err;
  }
  std::filesystem::permissions(token, std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  const auto open = check(box, "--check-config");
  EXPECT_EQ(open.status, 1);
  EXPECT_NE(open.err.find("chmod 600"), std::string::npos) << open.err;
}

TEST(CheckConfig, TellsTheDoctorOfAFileThatItNamesAsOfItself) {
  Box box({.server = {}, .config = {}, .start = false});
  const auto told = [&box] { return check(box, "--check-config", {"--as-checks"}); };
  const auto file = (box.dir() / "config.toml").string();
  EXPECT_NE(told().out.find(R"({"check":"config","state":"ok","message":")" + file + " is fine\""), std::string::npos)
      << told().out;
  std::ofstream(box.sandbox().token_file()) << "junk!";
  const auto junk = told();
  EXPECT_EQ(junk.status, 0) << "it tells what it found";
  EXPECT_NE(junk.out.find(R"({"check":"config","state":"fail","message":")" + box.sandbox().token_file().string()),
            std::string::npos)
      << junk.out;
  EXPECT_EQ(junk.out.find("is fine"), std::string::npos) << junk.out;
}

/// `neptune-sync doctor` where the package is installed, its service is stopped and its user is 4242: with directories
/// of the system's that nobody else sees; of /etc with the names of users alone. Asked by that user.
Ran diagnosis_as_installed(Box& box, unsigned uid, const std::string& config = {}, const std::string& before = "true") {
  const auto client = uid == 0 ? "" : fmt::format("setpriv --reuid {0} --regid {0} --clear-groups ", uid);
  const auto script = fmt::format(
      "set -e; mkdir {0}/etc; cp -p /etc/passwd /etc/group {0}/etc; mount --bind {0}/etc /etc; "
      "mount -t tmpfs tmpfs /var/lib; "
      "mkdir -p /etc/neptune-syncd; cp -p {1} /etc/neptune-syncd/api-token; cp -p {1} /etc/neptune-syncd/lab-token; "
      "install -d -m 711 -o 4242 -g 4242 /var/lib/neptune-syncd; install -d -m 700 /var/lib/closed; "
      "{5}; cp {0}/system.toml /etc/neptune-syncd/config.toml; export PATH={2}:$PATH HOME=/nonexistent; cd /; "
      "exec {3}{4} --socket {0}/none.sock doctor",
      box.dir().string(), box.sandbox().token_file().string(), binary("neptune-syncd").parent_path().string(), client,
      binary("neptune-sync").string(), before);
  std::ofstream(box.dir() / "system.toml") << config
                                           << "[[watch]]\npath = \"/var/lib/closed\"\n"
                                              "[queue]\nmin_free_disk = \"1MiB\"\n"
                                              "[[workspace]]\nname = \"lab\"\n"
                                              "api_token_file = \"/run/credentials/neptune-syncd.service/lab-token\"\n";
  Process process({.binary = "/usr/bin/unshare",
                   .args = {"--mount", "--propagation", "private", "bash", "-c", script},
                   .env = {{"NEPTUNE_API_TOKEN", "the caller's own"}},
                   .unset_env = {},
                   .output_dir = box.dir() / "output",
                   .name = "as-installed",
                   .working_dir = {}});
  const auto status = process.wait(60s);
  return {status.value_or(-1), process.out(), process.err()};
}

bool may_mount() {
  return ::geteuid() == 0 && std::system((std::string(NEPTUNE_IN_UNIT_SANDBOX) + " --try").c_str()) == 0;
}

TEST(DoctorOfTheStoppedService, ReadsItsTokensAsSystemdDoesAndSeesAllElseAsItsUser) {
  if (!may_mount()) GTEST_SKIP() << "mounting in a namespace of one's own takes root, and is not allowed here";
  Box box({.server = {}, .config = {}, .start = false});
  const auto told = diagnosis_as_installed(box, 0);
  EXPECT_EQ(told.status, 1) << told.err;
  EXPECT_THAT(told.out,
              AllOf(HasSubstr("/etc/neptune-syncd/config.toml is fine"),
                    HasSubstr("The API token is read from /etc/neptune-syncd/api-token"),
                    HasSubstr("The API token of workspace lab is read from /etc/neptune-syncd/lab-token"),
                    HasSubstr("token (lab)       the server takes the API token"),
                    HasSubstr("/var/lib/closed cannot be read (Permission denied)"), HasSubstr("\n1 failure, ")));
}

TEST(DoctorOfTheStoppedService, FindsThatItsUserMayNotReadTheCertificates) {
  if (!may_mount()) GTEST_SKIP() << "mounting in a namespace of one's own takes root, and is not allowed here";
  const std::filesystem::path certificates = "/etc/ssl/certs/ca-certificates.crt";
  if (!std::filesystem::exists(certificates)) GTEST_SKIP() << "no certificates are installed here";
  Box box({.server = {}, .config = {}, .start = false});
  const auto copy = box.dir() / "ca.pem";  // that of /etc is hidden there
  std::filesystem::copy_file(certificates, copy);
  const auto told = diagnosis_as_installed(box, 0, "[server]\nca_file = \"/etc/neptune-syncd/ca.pem\"\n",
                                           "install -m 600 " + copy.string() + " /etc/neptune-syncd/ca.pem");
  EXPECT_THAT(told.out,
              AllOf(HasSubstr("/etc/neptune-syncd/ca.pem ([server] ca_file) cannot be read by the user 4242"),
                    HasSubstr("it cannot be asked: the CA certificates in /etc/neptune-syncd/ca.pem cannot be used"),
                    Not(HasSubstr("by you")), Not(HasSubstr("a connection is made"))))
      << told.err;
}

TEST(DoctorOfTheStoppedService, SaysToOthersThatRootSeesMore) {
  if (!may_mount()) GTEST_SKIP() << "mounting in a namespace of one's own takes root, and is not allowed here";
  Box box({.server = {}, .config = {}, .start = false});
  std::filesystem::permissions(box.dir(), std::filesystem::perms{0711});
  const auto told = diagnosis_as_installed(box, 65534);
  EXPECT_THAT(told.out, AllOf(HasSubstr("/etc/neptune-syncd/config.toml is fine"),
                              HasSubstr("the state directory /var/lib/neptune-syncd cannot be used"),
                              HasSubstr("-> Start the daemon as the user 4242"),
                              HasSubstr("api-token cannot be read by nobody: it is for root (mode 0600)"),
                              HasSubstr("-> `sudo neptune-sync doctor` reads it")))
      << told.err;
}

TEST(Usage, OfEachProgramThatIsWrongEndsWithTwoAndNamesWhatWasMeant) {
  Box box({.server = {}, .config = {}, .start = false});
  const auto daemon = check(box, "--chek-config");
  EXPECT_EQ(daemon.status, 2);
  EXPECT_EQ(daemon.err,
            "neptune-syncd: '--chek-config' is no option of `neptune-syncd`. Did you mean --check-config?\n"
            "See `neptune-syncd --help`.\n");
  Process sandbox({.binary = binary("neptune-sandbox"),
                   .args = {"--prot", "0"},
                   .env = {},
                   .unset_env = {},
                   .output_dir = box.dir() / "output",
                   .name = "sandbox",
                   .working_dir = {}});
  EXPECT_EQ(sandbox.wait(20s).value_or(-1), 2);
  EXPECT_NE(sandbox.err().find("Did you mean --port?"), std::string::npos) << sandbox.err();
}

}  // namespace
}  // namespace neptune::testing
