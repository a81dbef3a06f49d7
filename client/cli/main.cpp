#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "client/cli/examples.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/man/help.h"
#include "client/man/page.h"
#include "client/man/usage.h"
#include "client/man/wrap.h"

namespace neptune::cli {

namespace {

constexpr auto socket_text =
    "The daemon's socket is --socket, else $NEPTUNE_SYNC_SOCKET, else /run/neptune-syncd/api.sock, else the one in "
    "$XDG_RUNTIME_DIR/neptune-syncd, else the one in ~/.local/state/neptune-syncd, else the one that config.toml names "
    "(in /etc/neptune-syncd or ~/.config/neptune-syncd).";

struct ExitText {
  Exit code;
  const char* text;
  const char* more;  // for the manual page
};
constexpr std::array exit_texts{
    ExitText{done, "done", ""},
    ExitText{failed, "failed", ": the daemon or the server refused it, or something that wait waits for was rejected"},
    ExitText{usage, "usage", ": the words are wrong, also where only the daemon can tell, as of a project's name"},
    ExitText{unreachable, "daemon not reachable", ""},
    ExitText{timed_out, "timed out", ""},
    ExitText{held, "held",
             ": of status, changes are held, or a hold is set that the next ones will wait for; of wait, what remains "
             "when the time is up is held"},
    ExitText{partly, "exported or imported in part", ": the output names what is left out"}};

std::string footer(bool top) {
  if (!top) return "`neptune-sync --help` tells of --socket, --json and the exit codes.\n";
  std::string exits = "Exit:";
  for (const auto& [code, text, more] : exit_texts)
    exits += (code == 0 ? " " : ", ") + std::to_string(code) + " " + text;
  return man::wrap(socket_text, man::help_width, "", "") + man::wrap(exits + ".", man::help_width, "", "") + "\n" +
         man::wrap(
             "`neptune-sync COMMAND --help`, or `neptune-sync help COMMAND`, tells all of a command, with examples.",
             man::help_width, "", "");
}

std::string man_page(const CLI::App& app) {
  man::Page page{.number = "1",
                 .version = NEPTUNE_VERSION,
                 .sections = {},
                 .see_also = {"neptune-syncd(8)", "neptune-syncd.toml(5)"}};
  man::Section exits{.title = "EXIT STATUS"};
  for (const auto& [code, text, more] : exit_texts)
    exits.entries.push_back({std::to_string(code), std::string(text) + more});
  const man::Section shown{.title = "EXAMPLES", .entries = examples()};
  const man::Section variables{
      .title = "ENVIRONMENT",
      .entries = {{"NEPTUNE_SYNC_SOCKET", "The daemon's socket, where --socket does not name it."},
                  {"NEPTUNE_PROJECT",
                   "The project, as workspace/project, where --project does not name it; and of runs of one name, in "
                   "which one is meant."},
                  {"NO_COLOR", "Whatever it is set to: no colours."}}};
  page.sections = {{.title = "THE SOCKET", .text = socket_text}, exits, shown, variables};
  return man::manual(man::command_tree(app), page);
}

/// The words of the command line; "help run log" is "run log --help", as far as there are such commands.
std::vector<std::string> words_of(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::size_t first = 0;
  while (first < words.size() && words[first].starts_with('-')) first += words[first] == "--socket" ? 2 : 1;
  if (first >= words.size() || words[first] != "help") return words;
  words.erase(words.begin() + static_cast<std::ptrdiff_t>(first));
  const auto* command = &app;
  for (const auto& word : std::span(words).subspan(first)) {
    const auto below = command->get_subcommands([&word](const CLI::App* each) { return each->get_name() == word; });
    if (below.empty()) return words;
    command = below.front();
  }
  words.emplace_back("--help");
  return words;
}

int run(int argc, char** argv) {
  Session session;
  session.style = style_of_output();

  CLI::App app("Asks neptune-syncd what is on the Neptune server, what is not yet, and why.", "neptune-sync");
  man::use_help(app, examples, footer);
  app.set_version_flag("--version", "neptune-sync " NEPTUNE_VERSION);
  app.add_option("--socket", session.socket, "The daemon's socket, where it is not the usual one")->type_name("PATH");
  app.add_flag("--json", session.json,
               "Print answers as JSON, as the daemon's API has them, on one line. Errors come as JSON on standard "
               "error, but for "
               "wrong usage, which is told in words");
  const auto print_man_page = [&app, &session] {
    session.print(man_page(app));
    throw CLI::Success();
  };
  app.add_flag_callback("--man-page", print_man_page)->group("");
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand after the verb
  Verb top(app);
  top.group("How things stand");
  add_status(top, session);
  add_explain(top, session);
  add_doctor(top, session);
  add_watch(top, session);
  add_wait(top, session);
  add_streams(top, session);
  add_rejected(top, session);
  add_events(top, session);
  top.group("What jobs and people hand in");
  add_run_verbs(top, session);
  add_project_verbs(top, session);
  add_workspace_verbs(top, session);
  add_model_verbs(top, session);
  add_trash(top, session);
  add_change(top, session);
  top.group("Holding, and going on");
  add_scope_verbs(top, session);
  add_flush(top, session);
  top.group("What lies on disk");
  add_tidy(top, session);
  add_queue(top, session);
  top.group("For your shell");
  add_completion(top, session, [&app] { return man::command_tree(app); });

  try {
    auto words = words_of(app, argc, argv);
    std::ranges::reverse(words);  // as the parser takes them
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    // --help and --version come here too, with 0.
    return man::end_of_usage(app, error);
  }
  if (std::fflush(stdout) != 0 && session.exit == done) session.exit = failed;
  return session.exit;
}

}  // namespace

}  // namespace neptune::cli

int main(int argc, char** argv) {
  try {
    return neptune::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "neptune-sync: %s\n", error.what());
    return neptune::cli::failed;
  }
}
