#include "app/servers.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "app/app.h"
#include "support/service.h"

namespace neptune::app {

Error in_its_file(const config::Token& token, const Error& error) {
  return {error.code, fmt::format("{}: {}", token.origin, error.message)};
}

namespace {

/// Of a server that cannot be made though its token is fine.
std::string settings_remedy(const Error& error) {
  if (error.code == "invalid_ca_file")
    return fmt::format("Mend that file, or name another in [server] ca_file, then {}.", reload_command());
  return fmt::format("Mend that, then {}.", restart_command());
}

}  // namespace

engine::ServerSlot make_server(const boost::asio::any_io_executor& executor, const Clock& clock,
                               const config::Config& config, const std::string& workspace) {
  return make_server(executor, clock, config, workspace, config::read_token(config, workspace));
}

engine::ServerSlot make_server(const boost::asio::any_io_executor& executor, const Clock& clock,
                               const config::Config& config, const std::string& workspace,
                               const Result<config::Token>& token) {
  auto remedy = config::token_remedy(config, workspace);
  if (!token) return {nullptr, token.error(), std::move(remedy)};
  if (const auto named = server::server_named_by(token->text); !named)
    return {nullptr, in_its_file(*token, named.error()), std::move(remedy)};
  server::Options options;
  options.api_token = token->text;
  options.ca_file = config.server.ca_file;
  options.insecure = config.server.insecure;
  options.proxy = config.server.proxy;
  options.request_timeout = config.server.request_timeout;
  options.user_agent = "neptune-syncd/" + version();
  // And a check, a status call, and the signing of files; to the object stores, some parts of each file.
  options.max_connections =
      std::max(config.server.max_in_flight + 2 + config.uploads.max_concurrent, 3 * config.uploads.max_concurrent);
  auto made = server::Server::make(executor, clock, std::move(options));
  if (!made) return {nullptr, made.error(), std::move(remedy), settings_remedy(made.error())};
  spdlog::info("server url={} token_from={:?} workspace={}", (*made)->url(), token->origin,
               workspace.empty() ? "*" : workspace);
  return {std::move(*made), {}, std::move(remedy)};
}

}  // namespace neptune::app
