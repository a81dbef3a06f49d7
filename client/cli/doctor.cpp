#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/daemon_program.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"
#include "client/lib/json.h"

namespace neptune::cli {

namespace {

namespace fs = std::filesystem;

/// In single quotes, for a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// Hands on each line that a command prints, as it comes; how it ended.
int run(const std::string& command, const std::function<void(const std::string&)>& line_came) {
  auto* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (!pipe) return -1;
  std::string line;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    line_came(line);
    line.clear();
  }
  return ::pclose(pipe);
}

/// The configuration a running daemon was given on its command line; empty: the usual one.
std::string configuration_of(std::int64_t pid) {
  const auto process = "/proc/" + std::to_string(pid);
  std::ifstream in(process + "/cmdline", std::ios::binary);
  for (std::string word; std::getline(in, word, '\0');) {
    std::string file;
    if (word.starts_with("--config=")) file = word.substr(9);
    if (word == "--config") std::getline(in, file, '\0');
    std::error_code error;
    if (!file.empty()) return (fs::read_symlink(process + "/cwd", error) / file).string();
  }
  return {};
}

/// Whether a process is this user's: only then what this user may read is what it may read.
bool is_own(std::int64_t pid) {
  struct stat info{};
  return ::stat(("/proc/" + std::to_string(pid)).c_str(), &info) == 0 && info.st_uid == ::geteuid();
}

api::Check may_not_use(const std::string& path) {
  return {"socket", "fail", fmt::format("you may not use {}", path),
          "It is another user's, or lies where you may not go: use the system's daemon, or your own."};
}

std::vector<api::Check> check_socket(const std::string& path, const Error* failure) {
  std::vector<api::Check> checks;
  struct stat info{};
  if (failure) {
    if (failure->code == client::not_permitted) return {may_not_use(path)};
    checks.push_back(
        {"daemon", "fail", failure->message,
         "Until it runs, nothing is sent; what is on disk waits. Its log says why it ended; the service's is "
         "`journalctl -u neptune-syncd`."});
  } else {
    checks.push_back({"daemon", "ok", "neptune-syncd answers on " + path, {}});
  }
  if (::stat(path.c_str(), &info) != 0) return checks;
  if (::access(path.c_str(), R_OK | W_OK) != 0)
    checks.push_back(may_not_use(path));
  else
    checks.push_back(
        {"socket", "ok", fmt::format("{} is yours to use (mode {:04o})", path, info.st_mode & 07777u), {}});
  return checks;
}

constexpr auto on_the_way = "the way to the server; a step that takes more than 10 s fails";

/// What was found, shown as it is found: a step may take a while.
class Findings {
 public:
  explicit Findings(const Session& session) : session_(session) {}

  void add(std::vector<api::Check> checks) {
    erase_wait();
    if (!session_.json) session_.print(view(checks, session_.style));
    std::fflush(stdout);
    std::ranges::move(checks, std::back_inserter(all_.checks));
  }

  /// On a terminal, until something is found.
  void wait_for(const char* what) {
    const auto width = terminal_width(STDERR_FILENO);
    if (session_.json || width == 0) return;
    // One line, as only one can be taken back.
    std::fputs(cut(std::string("...   ") + what, width - 1).c_str(), stderr);
    waits_ = true;
  }
  void erase_wait() {
    if (std::exchange(waits_, false)) std::fputs("\r\x1b[K", stderr);
  }

  bool any_failed() const { return std::ranges::count(all_.checks, "fail", &api::Check::state) > 0; }
  void conclude() const { session_.print(session_.json ? api::to_json(all_) + "\n" : verdict(all_, session_.style)); }

 private:
  const Session& session_;
  api::Diagnosis all_;
  bool waits_ = false;
};

/// What the daemon's own program is asked for: of a configuration, also of a token that it names no file for (which a
/// running daemon may have from its environment, and tells itself), or of all that a running daemon would tell.
enum class About { configuration, configuration_and_token, everything };

/// `remedy`: what follows a mend that it knows no more of.
void ask_program(Findings& findings, const std::string& file, About about, const std::string& remedy) {
  const bool all = about == About::everything;
  bool understood = false;
  const auto take = [&findings, &understood, about, all, &remedy](const std::string& line) {
    const auto told = api::from_json<api::Diagnosis>(line);
    if (!told) return;
    understood = true;
    std::vector<api::Check> checks;
    for (auto check : told->checks) {
      if (check.check == "token" && about == About::configuration) continue;
      if (check.message.ends_with('.')) check.message.pop_back();  // as in the other lines of a diagnosis
      if (check.state != "ok" && check.remedy.empty()) check.remedy = remedy;
      checks.push_back(std::move(check));
    }
    findings.add(std::move(checks));
    if (all) findings.wait_for(on_the_way);
  };
  const auto config = file.empty() ? std::string() : " --config " + quoted(file);
  const auto status =
      run(quoted(daemon_program()) + config + (all ? " --diagnose" : " --check-config --as-checks"), take);
  findings.erase_wait();
  constexpr int not_found = 127;
  const std::string unchecked = all ? "nothing else is checked" : "its configuration is not checked";
  if (WIFEXITED(status) && WEXITSTATUS(status) == not_found)
    findings.add({{"config", "warn", "the program neptune-syncd is not found, so " + unchecked,
                   "Install it, or put it on the PATH."}});
  else if (!understood)
    findings.add({{"config", "warn", "the program neptune-syncd is of another version, so " + unchecked,
                   "Install both of one version; `neptune-syncd --check-config` checks it."}});
  else if (status != 0)
    findings.add({{"config", "warn", "the program neptune-syncd ended before it had told all",
                   "`neptune-syncd --check-config` checks the configuration."}});
}

/// What the daemon alone can tell: of its box, and then of the way to its servers.
Result<void> ask_daemon(const client::Client& client, Findings& findings) {
  auto box = client.diagnose_box();
  if (!box) return std::unexpected(box.error());
  findings.add(std::move(box->value.checks));
  findings.wait_for(on_the_way);
  auto way = client.diagnose_way();
  findings.erase_wait();
  if (!way) return std::unexpected(way.error());
  findings.add(std::move(way->value.checks));
  return {};
}

void examine(Session& session, const std::optional<std::string>& config) {
  Findings findings(session);
  const auto client = session.client();
  const auto status = client.status();
  findings.add(check_socket(client.socket(), status ? nullptr : &status.error()));
  const auto remedy =
      status ? "Mend that, then " + status->value.reload_with + "." : std::string("Mend that, then start it.");
  const bool kept_out = !status && status.error().code == client::not_permitted;
  const bool down = !status && !kept_out;
  if (down)
    ask_program(findings, config.value_or(""), About::everything, remedy);
  else if (config)
    ask_program(findings, *config, About::configuration_and_token, remedy);
  else if (status && is_own(status->value.pid))
    ask_program(findings, configuration_of(status->value.pid), About::configuration, remedy);
  else if (status)
    findings.add({{"config", "ok", "the daemon, another user's, runs with its own; --config FILE checks a file", {}}});
  if (status) {
    if (const auto told = ask_daemon(client, findings); !told) return session.fail_with(told.error());
  } else if (kept_out) {
    findings.add({{"server", "warn", "the way to the server is not checked: only the daemon knows it",
                   "Ask again when you may use the socket."}});
  }
  findings.conclude();
  if (findings.any_failed()) session.exit = failed;
}

}  // namespace

void add_doctor(Verb& top, Session& session) {
  auto verb = top.add("doctor", "Look for what keeps things from being synced, and say how to mend it");
  const auto config = std::make_shared<std::optional<std::string>>();
  verb.optional("--config FILE", *config, "The daemon's configuration file, where it is not the usual one");
  verb.action([&session, config] { examine(session, *config); });
}

}  // namespace neptune::cli
