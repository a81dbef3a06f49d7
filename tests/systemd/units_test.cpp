// The units themselves: what systemd thinks of them, and that none of their lines blinds the daemon.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/systemd/service.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;

const std::filesystem::path units = NEPTUNE_UNITS;

struct Output {
  int status = -1;
  std::string text;
};

Output run(const std::string& command) {
  Output out;
  auto* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> piece{};
  while (const auto got = std::fread(piece.data(), 1, piece.size(), pipe)) out.text.append(piece.data(), got);
  out.status = ::pclose(pipe);
  return out;
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool has_systemd() {
  return std::filesystem::exists("/usr/bin/systemd-analyze");
}

/// Units with the programs of this build, since those of the package are not installed.
class ShownUnits {
 public:
  explicit ShownUnits(const std::filesystem::path& from) {
    for (const auto* name : {"neptune-syncd.service", "neptune-syncd.socket"}) add(name, text_of(from / name));
  }

  void add(const std::string& name, const std::string& text) {
    write(name, text);
    files_ += " " + (dir_ / name).string();
  }
  /// What `systemctl edit neptune-syncd` makes of it.
  void add_drop_in(const std::string& text) {
    write("neptune-syncd.service.d/" + std::to_string(++drop_ins_) + ".conf", text);
  }

  /// What systemd has to say against them.
  std::string verify(const std::string& more) const {
    return run("XDG_RUNTIME_DIR=" + dir_.path().string() + " systemd-analyze verify --man=no " + more + files_).text;
  }

 private:
  void write(const std::string& name, std::string text) {
    text = std::regex_replace(text, std::regex("/usr/bin/neptune-syncd"), binary("neptune-syncd").string());
    text = std::regex_replace(text, std::regex("/usr/local/bin/"), NEPTUNE_DOCS "/monitoring/");
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << text;
  }

  TempDir dir_;
  std::string files_;
  int drop_ins_ = 0;
};

std::string verify(const std::filesystem::path& from, const std::string& more) {
  return ShownUnits(from).verify(more);
}

TEST(Units, AreWhatSystemdUnderstands) {
  if (!has_systemd()) GTEST_SKIP() << "systemd is not installed here";
  EXPECT_EQ(verify(units, ""), "");
  EXPECT_EQ(verify(units / "user", "--user"), "");
}

TEST(Units, ThatTheDocumentationShowsAreWhatSystemdUnderstandsToo) {
  if (!has_systemd()) GTEST_SKIP() << "systemd is not installed here";
  ShownUnits shown(units);
  int blocks = 0;
  const std::regex block(
      "\n```ini tested by tests/systemd/units_test.cpp\n(# /etc/systemd/system/(\\S+)\n)?([^`]*)```");
  for (const auto& page : std::filesystem::recursive_directory_iterator(NEPTUNE_DOCS)) {
    if (page.path().extension() != ".md") continue;
    const auto text = text_of(page.path());
    for (std::sregex_iterator it(text.begin(), text.end(), block), end; it != end; ++it, ++blocks) {
      if ((*it)[2].matched)
        shown.add((*it)[2], (*it)[3]);
      else
        shown.add_drop_in((*it)[3]);
    }
  }
  EXPECT_GE(blocks, 3);
  EXPECT_EQ(shown.verify(""), "");
  shown.add_drop_in("[Service]\nLoadCredentials=a:/b\n");
  EXPECT_NE(shown.verify("").find("LoadCredentials"), std::string::npos) << "drop-ins are looked at";
}

TEST(Units, TheSystemsServiceIsExposedToAtMostTwo) {
  if (!has_systemd()) GTEST_SKIP() << "systemd is not installed here";
  const auto analysed = run("systemd-analyze security --no-pager --offline=yes --threshold=20 " +
                            (units / "neptune-syncd.service").string());
  EXPECT_EQ(analysed.status, 0) << analysed.text;
  EXPECT_NE(analysed.text.find("Overall exposure level"), std::string::npos) << analysed.text;
}

TEST(Units, NoLineHidesOtherProcessesOrTheirLogs) {
  const std::regex blinding(
      "\n(ProcSubset=pid|ProtectProc=(invisible|ptraceable|noaccess)|PrivateUsers=(yes|true|1)|PrivatePIDs=|"
      "PrivateTmp=(yes|true|1)|ProtectHome=(yes|true|1|tmpfs)|PrivateNetwork=(yes|true|1)|DynamicUser=(yes|true|1))");
  for (const auto& unit : {units / "neptune-syncd.service", units / "user" / "neptune-syncd.service"})
    EXPECT_FALSE(std::regex_search(text_of(unit), blinding)) << unit;
  // Without a service manager of the system's own, these need a user namespace, which hides the jobs' processes.
  const std::regex namespaced("\n(Private|Protect)[A-Za-z]+=");
  EXPECT_FALSE(std::regex_search(text_of(units / "user" / "neptune-syncd.service"), namespaced));
}

/// For whoever is not root.
void open_up(const std::filesystem::path& path) {
  std::filesystem::permissions(path, std::filesystem::perms::others_read | std::filesystem::perms::others_exec,
                               std::filesystem::perm_options::add);
}

TEST(UnitSandbox, RefusesTheCallsThatTheUnitRefuses) {
  const auto behind = std::filesystem::path(NEPTUNE_IN_UNIT_SANDBOX).parent_path() / "with_system_calls";
  const auto command = behind.string() + " " + (units / "neptune-syncd.service").string() + " ";
  EXPECT_EQ(run(command + "true").status, 0);
  if (run("uname -m").text != "x86_64\n" || !has_systemd()) GTEST_SKIP() << "no filter is made here";
  EXPECT_NE(run(command + "python3 -c 'import os; os.chroot(\"/\")'").status, 0);
  EXPECT_NE(run(command + "python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)'").status, 0);
  EXPECT_NE(run(command + "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'").status, 0);
  EXPECT_EQ(run(command + "python3 -c 'import socket; socket.socket()'").status, 0);
}

TEST(UnitSandbox, InItTheDaemonSeesALiveWriterOfAnotherUserAndSyncsItsLog) {
  const TempDir dir;
  const auto sandboxed = std::string(NEPTUNE_IN_UNIT_SANDBOX);
  if (::geteuid() != 0 || run(sandboxed + " --try").status != 0)
    GTEST_SKIP() << "mounting in a namespace of one's own takes root, and is not allowed here";
  constexpr uid_t uid = 64'123;
  Box box({.server = {}, .config = {}, .start = false});
  for (const auto& path : {box.dir(), box.runs(), box.dir() / "config.toml"}) open_up(path);
  std::filesystem::create_directory(box.dir() / "state");
  std::filesystem::create_directory(box.dir() / "run");
  std::filesystem::copy_file(box.sandbox().token_file(), box.dir() / "credential");
  for (const auto* name : {"state", "run", "credential"}) ASSERT_EQ(::chown((box.dir() / name).c_str(), uid, uid), 0);
  edit_config(box, box.sandbox().token_file().string(), (box.dir() / "credential").string());
  edit_config(box, "/api.sock", "/run/api.sock");

  RunLogWriter job({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
  job.append(1'000'000, {{"loss", 0.5}});
  Process daemon({.binary = sandboxed,
                  .args = {units / "neptune-syncd.service", std::to_string(uid), box.dir() / "state", box.dir() / "run",
                           binary("neptune-syncd"), "--config", box.dir() / "config.toml"},
                  .env = {{"ASAN_OPTIONS", "detect_leaks=0"}},  // that takes ptrace, which the filter refuses
                  .unset_env = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "NEPTUNE_API_TOKEN"},
                  .output_dir = box.dir() / "output",
                  .name = {},
                  .working_dir = {}});
  const auto socket = (box.dir() / "run" / "api.sock").string();
  const auto sees = [](const boost::json::value& status) {
    for (const auto& source : status.at("sources").as_array())
      if (source.at("kind").as_string() == "run-log" && source.at("state").as_string() == "live") return true;
    return false;
  };
  const auto until = std::chrono::steady_clock::now() + 20s;
  Ran asked;
  bool live = false;
  while (!live && std::chrono::steady_clock::now() < until && daemon.running()) {
    asked = ask(box, socket, {"--json", "status"});
    live = asked.status == 0 && sees(parse_json(asked.out));
  }
  EXPECT_TRUE(live) << asked.out << daemon.err();
  const auto waited = ask(box, socket, {"wait", "--run", "r-1", "--now", "--timeout", "20s"});
  EXPECT_EQ(waited.status, 0) << waited.out << waited.err << daemon.err();
  EXPECT_EQ(job.operations(), 2) << "the log is another user's: nothing is taken out of it";
  EXPECT_EQ(daemon.terminate(20s), 0) << daemon.err();
}

}  // namespace
}  // namespace neptune::testing
