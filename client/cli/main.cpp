#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <exception>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"

namespace {

constexpr auto footer =
    "\nThe daemon's socket is --socket, else $NEPTUNE_SYNC_SOCKET, else /run/neptune-syncd/api.sock, else the one in\n"
    "$XDG_RUNTIME_DIR/neptune-syncd. Exit: 0 done, 1 failed, 2 usage, 3 daemon not reachable, 4 timed out, 5 held.";

int run(int argc, char** argv) {
  using namespace neptune::cli;
  Session session;
  session.style = style_of_output();

  CLI::App app("Asks neptune-syncd what is on the Neptune server, what is not yet, and why.", "neptune-sync");
  app.set_version_flag("--version", "neptune-sync " NEPTUNE_VERSION);
  app.add_option("--socket", session.socket, "The daemon's socket");
  app.add_flag("--json", session.json, "Print the daemon's own JSON, one line");
  app.footer(footer);
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand after the verb
  Verb top(app);
  add_status(top, session);
  add_streams(top, session);
  add_rejected(top, session);
  add_events(top, session);
  add_scope_verbs(top, session);
  add_flush(top, session);
  add_wait(top, session);
  add_project_verbs(top, session);
  add_run_verbs(top, session);
  add_model_verbs(top, session);
  add_trash(top, session);
  add_change(top, session);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version come here too, with 0.
    return app.exit(error) == 0 ? done : usage;
  }
  if (std::fflush(stdout) != 0 && session.exit == done) session.exit = failed;
  return session.exit;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "neptune-sync: %s\n", error.what());
    return neptune::cli::failed;
  }
}
