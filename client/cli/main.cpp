#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <cstdio>
#include <exception>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/man/page.h"

namespace {

constexpr auto socket_text =
    "The daemon's socket is --socket, else $NEPTUNE_SYNC_SOCKET, else /run/neptune-syncd/api.sock, else the one in\n"
    "$XDG_RUNTIME_DIR/neptune-syncd, else the one in ~/.local/state/neptune-syncd.";

struct ExitText {
  neptune::cli::Exit code;
  const char* text;
};
constexpr std::array exit_texts{
    ExitText{neptune::cli::done, "done"},           ExitText{neptune::cli::failed, "failed"},
    ExitText{neptune::cli::usage, "usage"},         ExitText{neptune::cli::unreachable, "daemon not reachable"},
    ExitText{neptune::cli::timed_out, "timed out"}, ExitText{neptune::cli::held, "held"}};

struct Example {
  const char* command;
  const char* text;
};
/// One at least of each verb, for the manual page.
constexpr std::array examples{
    Example{"neptune-sync status", "What is synced, what waits, and why."},
    Example{"neptune-sync explain trial-7", "Why that run is not on the server yet, and what would make it move."},
    Example{"neptune-sync explain ./runs", "The same of all logs in a folder."},
    Example{"neptune-sync doctor", "Go through configuration, permissions, limits and the way to the server."},
    Example{"neptune-sync watch", "The state of things on the whole terminal, until q is pressed."},
    Example{"neptune-sync streams --project ml-team", "Each run of a workspace, and what it waits for."},
    Example{"neptune-sync events -f --since 120", "What happened after event 120, and what happens from now on."},
    Example{"neptune-sync rejected", "What the server refused for good, and why."},
    Example{"neptune-sync rejected retry --run trial-7", "Send all of that run again, oldest first."},
    Example{"neptune-sync rejected export --all > rejected.jsonl", "Keep the refused changes with their bytes."},
    Example{"neptune-sync hold ml-team/lab", "Send nothing of that project."},
    Example{"neptune-sync discard ml-teem/lab", "Throw away what was handed in for a mistyped project."},
    Example{"neptune-sync release ml-team/lab --dry-run", "How much a release would let go."},
    Example{"neptune-sync probe vision", "Ask the server now whether the workspace takes writes again."},
    Example{"neptune-sync flush", "Try everything now, and look through the folders."},
    Example{"neptune-sync tidy ./runs --dry-run",
            "Which logs below a folder are synced and could be removed, and why the others stay."},
    Example{"neptune-sync queue check", "What is wrong with the queue on disk, and what a repair would do."},
    Example{"neptune-sync export --move /media/stick/changes.jsonl",
            "Take the changes that wait to a machine that reaches the server."},
    Example{"neptune-sync import /media/stick/changes.jsonl", "Queue them there."},
    Example{"neptune-sync wait --run trial-7 --timeout 10m", "At the end of a job's script: until the run is synced."},
    Example{"neptune-sync project create ml-team/lab --visibility workspace", "Create a project."},
    Example{"neptune-sync run log trial-7 loss=0.31 --step 12 --project ml-team/lab", "Log a point of a series."},
    Example{"neptune-sync run upload trial-7 models/best best.pt --project ml-team/lab", "Upload a file."},
    Example{"neptune-sync model create FOREST --project ml-team/lab", "Create a model."},
    Example{"neptune-sync trash empty ml-team/lab", "Empty a project's trash."},
    Example{"neptune-sync change -f changes.ndjson", "Hand in a file of changes."},
    Example{"neptune-sync completion bash", "Print the completion script of a shell."}};

std::string footer() {
  std::string out = std::string("\n") + socket_text + "\nExit:";
  for (const auto& [code, text] : exit_texts) out += (code == 0 ? " " : ", ") + std::to_string(code) + " " + text;
  return out + ".";
}

std::string man_page(const CLI::App& app) {
  neptune::man::Page page{.number = "1",
                          .version = NEPTUNE_VERSION,
                          .sections = {},
                          .see_also = {"neptune-syncd(8)", "neptune-syncd.toml(5)"}};
  neptune::man::Section exits{.title = "EXIT STATUS"};
  for (const auto& [code, text] : exit_texts) exits.entries.push_back({std::to_string(code), text});
  neptune::man::Section shown{.title = "EXAMPLES"};
  for (const auto& [command, text] : examples) shown.entries.push_back({command, text});
  page.sections = {{.title = "THE SOCKET", .text = socket_text}, exits, shown};
  return neptune::man::manual(neptune::man::command_tree(app), page);
}

int run(int argc, char** argv) {
  using namespace neptune::cli;
  Session session;
  session.style = style_of_output();

  CLI::App app("Asks neptune-syncd what is on the Neptune server, what is not yet, and why.", "neptune-sync");
  app.set_version_flag("--version", "neptune-sync " NEPTUNE_VERSION);
  app.add_option("--socket", session.socket, "The daemon's socket");
  app.add_flag("--json", session.json, "Print the daemon's own JSON, one line");
  const auto print_man_page = [&app, &session] {
    session.print(man_page(app));
    throw CLI::Success();
  };
  app.add_flag_callback("--man-page", print_man_page)->group("");
  app.footer(footer());
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand after the verb
  Verb top(app);
  add_status(top, session);
  add_explain(top, session);
  add_doctor(top, session);
  add_watch(top, session);
  add_streams(top, session);
  add_rejected(top, session);
  add_events(top, session);
  add_scope_verbs(top, session);
  add_flush(top, session);
  add_tidy(top, session);
  add_queue(top, session);
  add_wait(top, session);
  add_project_verbs(top, session);
  add_run_verbs(top, session);
  add_model_verbs(top, session);
  add_trash(top, session);
  add_change(top, session);
  add_completion(top, session, [&app] { return neptune::man::command_tree(app); });

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
