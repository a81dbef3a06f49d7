// neptune-sandbox: a development Neptune server. README.md beside this file says how to use it.
#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <iostream>

#include "client/man/usage.h"
#include "tests/sandbox/sandbox.h"

namespace {

using neptune::sandbox::Options;
using neptune::sandbox::Sandbox;
using neptune::sandbox::WorkspaceOption;

int serve(const Options& options) {
  boost::asio::io_context io(1);
  auto sandbox = Sandbox::make(io.get_executor(), options);
  if (!sandbox) {
    std::cerr << "neptune-sandbox: " << sandbox.error().message << std::endl;
    return 1;
  }
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) (*sandbox)->stop();
  });
  int status = 0;
  boost::asio::co_spawn(io, (*sandbox)->run(), [&](std::exception_ptr error) {
    status = error ? 1 : 0;
    signals.cancel();
  });
  std::cout << "url " << (*sandbox)->url() << "\ntoken " << (*sandbox)->api_token() << std::endl;
  io.run();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A development Neptune server with workspaces, quotas and read-only mode", "neptune-sandbox");
  Options options;
  std::vector<std::string> workspaces;
  app.add_option("--host", options.host, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "0: any free port")->required();
  app.add_option("--state", options.state_file, "keep what the server holds in this file");
  app.add_option("--workspace", workspaces, "NAME[:individual|team][:quota BYTES]; none: any name will do")
      ->allow_extra_args(false);
  app.add_option("--token-file", options.token_file, "write the API token here, mode 0600");
  auto* certificate = app.add_option("--tls-cert", options.tls_certificate, "PEM file: serve TLS");
  auto* key = app.add_option("--tls-key", options.tls_key, "PEM file")->needs(certificate);
  certificate->needs(key);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return neptune::man::end_of_usage(app, error);
  }
  for (const auto& text : workspaces) {
    auto workspace = WorkspaceOption::parse(text);
    if (!workspace) {
      std::cerr << "neptune-sandbox: " << workspace.error().message << std::endl;
      return 2;
    }
    options.workspaces.push_back(std::move(*workspace));
  }
  return serve(options);
}
