#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "app/app.h"
#include "app/carry.h"
#include "app/upkeep.h"
#include "client/man/help.h"
#include "client/man/page.h"
#include "client/man/terminal.h"
#include "client/man/usage.h"
#include "client/man/wrap.h"

namespace {

std::vector<neptune::man::Entry> examples() {
  return {{"neptune-syncd --check-config", "Is the configuration fine, and which one is it?"},
          {"neptune-syncd --config ~/.config/neptune-syncd/config.toml", "Run here, until Ctrl-C."}};
}

std::string man_page(const CLI::App& cli) {
  const neptune::man::Page page{
      .number = "8",
      .version = neptune::app::version(),
      .sections =
          {{.title = "SIGNALS",
            .entries =
                {{"SIGTERM, SIGINT", "Take nothing more in, let what is in flight finish, and end."},
                 {"SIGHUP",
                  "Read the configuration and the tokens anew. A configuration that is wrong changes nothing."}}},
           {.title = "EXIT STATUS",
            .entries = {{"0", "done"},
                        {"1", "failed"},
                        {"2", "usage"},
                        {"6", "exported or imported, but not everything: the output names what is left out"}}},
           {.title = "EXAMPLES", .entries = examples()},
           {.title = "ENVIRONMENT",
            .entries =
                {{"NEPTUNE_API_TOKEN", "The API token, where the configuration names no file with it."},
                 {"HTTPS_PROXY, NO_PROXY", "The proxy, where the configuration names none."},
                 {"NEPTUNE_PROJECT",
                  "Where offline runs of the 1.x client are created, where the configuration names no project."}}},
           {.title = "FILES",
            .entries = {{"/etc/neptune-syncd/config.toml", "The configuration: neptune-syncd.toml(5)."},
                        {"/etc/neptune-syncd/api-token", "The API token that the system service hands to the daemon."},
                        {"/var/lib/neptune-syncd", "The daemon's own memory, and what waits to be sent."},
                        {"/run/neptune-syncd/api.sock", "Where neptune-sync(1) reaches the daemon."}}}},
      .see_also = {"neptune-sync(1)", "neptune-syncd.toml(5)"}};
  return neptune::man::manual(neptune::man::command_tree(cli), page);
}

int report(const neptune::Error& error) {
  // What was found is the answer that was asked for.
  if (error.code == "broken") {
    std::fputs(error.message.c_str(), stdout);
    return 1;
  }
  std::fprintf(stderr, "neptune-syncd: %s\n", error.message.c_str());
  return error.code == "usage" ? neptune::man::wrong_usage : 1;
}

constexpr int not_everything = 6;

int end_of(const neptune::Result<neptune::app::Carried>& carried, std::FILE* said) {
  if (!carried) return report(carried.error());
  std::fputs(carried->text.c_str(), said);
  return carried->everything ? 0 : not_everything;
}

std::string footer(bool) {
  return "As a service: `systemctl start neptune-syncd`. `neptune-sync status` asks it how\n"
         "things are.\n"
         "Exit codes: 0 done, 1 failed, 2 usage, 6 exported or imported, but not\n"
         "everything.\n";
}

struct Arguments {
  std::string config;
  bool check = false, as_checks = false, diagnose = false, unsent = false, queue = false, repair = false, move = false;
  std::string export_to, import_from, into;
};

void add_checks(CLI::App& cli, Arguments& given) {
  auto* check =
      cli.add_flag("--check-config", given.check, "Read and check the configuration, say what was found, and end");
  // What `neptune-sync doctor` asks for, of a daemon that runs, and of one that does not.
  cli.add_flag("--as-checks", given.as_checks)->group("")->needs(check);
  cli.add_flag("--diagnose", given.diagnose)->group("");
  cli.add_flag(
      "--check-unsent", given.unsent,
      "Tell whether a daemon that does not run keeps changes that are not on the server, and end (with 1: it does)");
  auto* queue = cli.add_flag("--check-queue", given.queue,
                             "Go through the change queue and the memory of a daemon that does not run, and end "
                             "(with 1: something is wrong)");
  cli.add_flag("--repair", given.repair, "With --check-queue: repair what can be, after copying the files")
      ->needs(queue);
}

void add_carrying(CLI::App& cli, Arguments& given) {
  auto* to = cli.add_option("--export", given.export_to,
                            "Write what is not on the server to a file (-: standard output), and end (with 6: "
                            "something that waits is not in it)")
                 ->type_name("FILE");
  cli.add_flag("--move", given.move, "With --export, of a daemon that does not run: take it out of here")->needs(to);
  auto* from =
      cli.add_option("--import", given.import_from,
                     "Take what such a file holds, of a daemon that does not run, and end (with 6: something in it was "
                     "not taken)")
          ->type_name("FILE");
  cli.add_option("--into", given.into, "With --import: put logs below this folder, which is to be a watched one")
      ->type_name("DIR")
      ->needs(from);
}

void add_options(CLI::App& cli, Arguments& given) {
  cli.add_option(
         "--config", given.config,
         "Configuration file; by default /etc/neptune-syncd/config.toml, or ~/.config/neptune-syncd/config.toml when "
         "not root")
      ->type_name("FILE");
  add_checks(cli, given);
  add_carrying(cli, given);
  cli.set_version_flag("--version", "neptune-syncd " + neptune::app::version());
  const auto print_man_page = [&cli] {
    std::fputs(man_page(cli).c_str(), stdout);
    throw CLI::Success();
  };
  cli.add_flag_callback("--man-page", print_man_page)->group("");
}

/// Not broken within words on the terminal that it may go to.
int print(const neptune::Result<std::string>& findings) {
  if (!findings) return report(findings.error());
  const auto width = neptune::man::terminal_width(STDOUT_FILENO);
  std::istringstream lines(*findings);
  for (std::string line; std::getline(lines, line);)
    std::fputs(neptune::man::wrap(line, width, "", "  ").c_str(), stdout);
  return 0;
}

int diagnose(const neptune::app::Flags& flags) {
  neptune::app::diagnose(flags, [](const std::string& found) {
    std::fputs((found + "\n").c_str(), stdout);
    std::fflush(stdout);
  });
  return 0;
}

int run(const Arguments& given) {
  neptune::app::Flags flags;
  if (!given.config.empty()) flags.config = given.config;
  if (given.diagnose) return diagnose(flags);
  if (given.as_checks) return print(neptune::app::config_as_checks(flags) + "\n");
  if (given.check) return print(neptune::app::check_config(flags));
  if (given.unsent) return print(neptune::app::check_unsent(flags));
  if (given.queue) return print(neptune::app::check_queue(flags, given.repair));
  if (!given.export_to.empty())
    return end_of(neptune::app::export_unsent(flags, given.export_to, given.move),
                  given.export_to == "-" ? stderr : stdout);
  if (!given.import_from.empty()) {
    std::optional<std::filesystem::path> folder;
    if (!given.into.empty()) folder = given.into;
    return end_of(neptune::app::import_unsent(flags, given.import_from, folder), stdout);
  }
  const auto ended = neptune::app::run(flags);
  return ended ? 0 : report(ended.error());
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App cli("Keeps experiment metadata safe on disk and syncs it to a Neptune server.", "neptune-syncd");
  neptune::man::use_help(cli, examples, footer);
  Arguments given;
  add_options(cli, given);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return neptune::man::end_of_usage(cli, error);
  }
  return run(given);
} catch (const std::exception& error) {
  std::fprintf(stderr, "neptune-syncd: %s\n", error.what());
  return 1;
}
