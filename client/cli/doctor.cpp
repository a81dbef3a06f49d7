#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
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

struct Said {
  int status = -1;
  std::string text;
};

Said run(const std::string& command) {
  Said said;
  auto* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return said;
  std::array<char, 4096> piece{};
  while (const auto got = std::fread(piece.data(), 1, piece.size(), pipe)) said.text.append(piece.data(), got);
  said.status = ::pclose(pipe);
  return said;
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

/// What the daemon's own program says of the configuration. Of the token a running daemon tells itself: its environment
/// may have it. `remedy`: what follows a mend.
void check_configuration(std::vector<api::Check>& checks, const std::string& file, bool of_the_token_too,
                         const std::string& remedy) {
  const auto config = file.empty() ? std::string() : " --config " + quoted(file);
  const auto said = run(quoted(daemon_program()) + config + " --check-config");
  constexpr int not_found = 127;
  if (WIFEXITED(said.status) && WEXITSTATUS(said.status) == not_found) {
    checks.push_back({"config", "warn", "the program neptune-syncd is not found, so its configuration is not checked",
                      "Install it, or put it on the PATH."});
    return;
  }
  std::string_view rest = said.text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    auto line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.empty() || (!of_the_token_too && line.find("API token") != std::string_view::npos)) continue;
    const bool warns = line.starts_with("warning: ");
    if (warns) line.remove_prefix(9);
    if (line.starts_with("neptune-syncd: ")) line.remove_prefix(15);
    const bool fails = said.status != 0;
    checks.push_back({"config",
                      fails   ? "fail"
                      : warns ? "warn"
                              : "ok",
                      std::string(line), fails || warns ? remedy : ""});
  }
}

void check_socket(std::vector<api::Check>& checks, const std::string& path, const Error* failure) {
  struct stat info{};
  if (failure) {
    checks.push_back(
        {"daemon", "fail", failure->message,
         "Until it runs, nothing is sent; what is on disk waits. Its log says why it ended; the service's is "
         "`journalctl -u neptune-syncd`."});
  } else {
    checks.push_back({"daemon", "ok", "neptune-syncd answers on " + path, {}});
  }
  if (::stat(path.c_str(), &info) != 0) return;
  if (::access(path.c_str(), R_OK | W_OK) != 0)
    checks.push_back({"socket", "fail", fmt::format("you may not use {}", path),
                      "Join the group neptune-sync (`usermod -aG neptune-sync $USER`), or use your own daemon's."});
  else
    checks.push_back(
        {"socket", "ok", fmt::format("{} is yours to use (mode {:04o})", path, info.st_mode & 07777u), {}});
}

void examine(Session& session, const std::optional<std::string>& config) {
  api::Diagnosis all;
  const auto client = session.client();
  const auto status = client.status();
  check_socket(all.checks, client.socket(), status ? nullptr : &status.error());
  const auto remedy =
      status ? "Mend that, then " + status->value.reload_with + "." : std::string("Mend that, then start it.");
  if (config || !status)
    check_configuration(all.checks, config.value_or(""), true, remedy);
  else if (is_own(status->value.pid))
    check_configuration(all.checks, configuration_of(status->value.pid), false, remedy);
  if (status) {
    auto diagnosis = client.doctor();
    if (!diagnosis) return session.fail_with(diagnosis.error());
    std::ranges::move(diagnosis->value.checks, std::back_inserter(all.checks));
  } else {
    all.checks.push_back({"server", "warn", "the way to the server is not checked: only the daemon knows it",
                          "Start the daemon, and ask again."});
  }
  session.print(session.json ? api::to_json(all) + "\n" : view(all, session.style));
  if (std::ranges::any_of(all.checks, [](const auto& check) { return check.state == "fail"; })) session.exit = failed;
}

}  // namespace

void add_doctor(Verb& top, Session& session) {
  auto verb = top.add("doctor", "Look for what keeps things from being synced, and say how to mend it");
  const auto config = std::make_shared<std::optional<std::string>>();
  verb.optional("--config FILE", *config, "The daemon's configuration file, where it is not the usual one");
  verb.action([&session, config] { examine(session, *config); });
}

}  // namespace neptune::cli
