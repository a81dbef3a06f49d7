#include "app/config_check.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "app/servers.h"
#include "client/lib/json.h"
#include "server/server.h"
#include "support/users.h"

namespace neptune::app {

namespace {

/// A file that the configuration names is a part of it; else a token is from the environment, which a running daemon
/// may have another of.
std::string check_of_token(const config::Config& config, const std::string& workspace) {
  const auto own = std::ranges::find(config.workspaces, workspace, &config::WorkspaceConfig::name);
  const bool named =
      !config.server.api_token_file.empty() || (own != config.workspaces.end() && !own->api_token_file.empty());
  return named ? "config" : "token";
}

/// One that is not there may still come, or be another's to read: a warning. One that is there and is none is an error.
void check_token(const config::Config& config, const std::string& workspace, Report& report) {
  const auto check = check_of_token(config, workspace);
  const auto token = config::read_token(config, workspace);
  if (!token && (token.error().code == "token_missing" || token.error().code == "token_file_unreadable")) {
    report.checks.push_back({check, "warn", token.error().message, {}});
  } else if (!token) {
    report.fail(check, token.error());
  } else if (const auto server = server::server_named_by(token->text); !server) {
    report.fail(check, in_its_file(*token, server.error()));
  } else {
    report.checks.push_back({check, "ok", found_token(token->origin, *server, workspace), {}});
  }
}

void check_tokens(const config::Config& config, Report& report) {
  check_token(config, {}, report);
  for (const auto& workspace : config.workspaces)
    if (!report.error && !workspace.api_token_file.empty()) check_token(config, workspace.name, report);
}

/// For one that is not there yet the daemon waits.
void check_watch(const std::filesystem::path& path, Report& report) {
  std::error_code error;
  const auto there = std::filesystem::status(path, error);
  if (there.type() == std::filesystem::file_type::not_found) return;
  if (!error && !std::filesystem::is_directory(there))
    report.warn(fmt::format("{}, which is to be watched, is no directory", path.string()));
  else if (error || (std::filesystem::directory_iterator(path, error), error))
    report.warn(fmt::format("{}, which is to be watched, cannot be read by you: {}", path.string(), error.message()));
}

/// So that a path that was mistyped is seen.
std::string if_absent(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::status(path, error).type() == std::filesystem::file_type::not_found
             ? ", which is not there yet"
             : "";
}

void check_users(const config::WorkspaceConfig& workspace, Report& report) {
  for (const auto& user : workspace.allow_users)
    if (!may_be_user(user))
      report.warn(
          fmt::format("allow_users of workspace {} names '{}', whom this machine does not know", workspace.name, user));
}

void check_watches(const config::Config& config, Report& report) {
  for (const auto& watch : config.watches) check_watch(watch.path, report);
}

}  // namespace

std::filesystem::path nearest_there(std::filesystem::path dir, std::error_code& error) {
  while (!std::filesystem::exists(dir, error) && !error && dir.has_relative_path()) dir = dir.parent_path();
  return dir;
}

std::string trouble_of_ca_file(const std::string& file, std::string_view who) {
  if (file.empty() || ::access(file.c_str(), R_OK) == 0) return {};
  return fmt::format("{} ([server] ca_file) cannot be read by {}: {}", file, who, std::strerror(errno));
}

std::string trouble_of_state_dir(const std::filesystem::path& dir, std::string_view who) {
  std::error_code error;
  const auto there = nearest_there(dir, error);
  const auto cannot = [&dir, &there](std::string_view why) {
    return fmt::format("the state directory {} cannot be {}: {}", dir.string(), there == dir ? "used" : "made", why);
  };
  struct statfs system{};
  if (error || ::statfs(there.c_str(), &system) != 0) return cannot(error ? error.message() : std::strerror(errno));
  if (!std::filesystem::is_directory(there, error)) return cannot(there.string() + " is no directory");
  if (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC)
    return cannot(there.string() + " is the kernel's own and keeps nothing");
  if (::access(there.c_str(), W_OK | X_OK) != 0)
    return cannot(fmt::format("{} (by {}): {}", there.string(), who, std::strerror(errno)));
  return {};
}

std::string found_token(const std::string& origin, const std::string& server, const std::string& workspace) {
  return fmt::format("The API token{} is read from {}; it is for {}",
                     workspace.empty() ? "" : " of workspace " + workspace, origin, server);
}

Report look_at_config(const Flags& flags, const Result<config::Config>& config, LookAt what) {
  Report report;
  if (!config) {
    report.fail("config", config.error());
    return report;
  }
  const auto about = flags.config ? config::AboutDefaultPath() : config::about_default_path();
  for (const auto& warning : config->warnings) report.warn(warning);
  if (!about.overlooked.empty()) report.warn(about.overlooked);
  if (config->watches.empty()) report.warn("there is no [[watch]]: only what is handed in over the socket is synced");
  for (const auto& workspace : config->workspaces) check_users(workspace, report);
  if (what == LookAt::what_it_names_too)
    for (const auto& trouble : {trouble_of_ca_file(config->server.ca_file), trouble_of_state_dir(config->state_dir)})
      if (!trouble.empty()) report.warn(trouble);
  report.found(
      fmt::format("State is kept in {}, the socket is {}", config->state_dir.string(), config->socket.string()));
  for (const auto& watch : config->watches)
    report.found(fmt::format("Watched: {} (kind {}){}", watch.path.string(), watch.kind, if_absent(watch.path)));
  if (what == LookAt::what_it_names_too) {
    check_watches(*config, report);
    check_tokens(*config, report);
  }
  const auto* how = report.error ? "can be read" : report.count("warn") == 0 ? "is fine" : "can be used";
  report.headline = about.absent.empty() ? fmt::format("{} {}", config->file.string(), how) : about.absent;
  return report;
}

Result<std::string> check_config(const Flags& flags) {
  const auto report = look_at_config(flags, config::load(flags.config), LookAt::what_it_names_too);
  if (report.error) return std::unexpected(*report.error);
  const auto warnings = report.count("warn");
  auto text = report.headline;
  if (warnings == 0 || text.ends_with('.'))
    text += text.ends_with('.') ? "\n" : ".\n";
  else
    text += fmt::format(", but see the warning{}:\n", warnings == 1 ? "" : "s");
  for (const auto& check : report.checks)
    if (check.state == "warn") text += "warning: " + check.message + "\n";
  for (const auto& check : report.checks)
    if (check.state == "ok") text += check.message + ".\n";
  return text;
}

std::vector<api::Check> as_checks(Report report) {
  if (!report.headline.empty()) report.checks.insert(report.checks.begin(), {"config", "ok", report.headline, {}});
  return std::move(report.checks);
}

std::string config_as_checks(const Flags& flags) {
  auto report = look_at_config(flags, config::load(flags.config), LookAt::what_it_names_too);
  return api::to_json(api::Diagnosis{as_checks(std::move(report))});
}

}  // namespace neptune::app
