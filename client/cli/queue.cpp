#include <memory>

#include "client/cli/daemon_program.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"

// What is done to what waits on disk: by the daemon's own program, which alone knows its files.
namespace neptune::cli {

namespace {

struct Arguments {
  std::string file = "-";
  std::optional<std::string> config, into;
  bool repair = false, move = false;
};

using Shared = std::shared_ptr<Arguments>;

void add_config(Verb& verb, const Shared& arguments) {
  verb.optional("--config FILE", arguments->config,
                "The daemon's configuration, which names state_dir; as the daemon finds it by default");
}

void run(Session& session, const Arguments& arguments, std::vector<std::string> words) {
  if (arguments.config) words.insert(words.begin(), {"--config", *arguments.config});
  session.fail_with({"no_daemon_program", become_daemon_program(std::move(words))});
}

}  // namespace

void add_queue(Verb& top, Session& session) {
  auto queue = top.add("queue", "Check and repair the change queue on disk (see also export and import)");
  auto check = queue.add("check", "Go through the queue of a daemon that does not run, and say what is wrong");
  const auto of_check = std::make_shared<Arguments>();
  check.flag("--repair", of_check->repair, "Repair what can be repaired, after copying the files");
  add_config(check, of_check);
  check.action([&session, of_check] {
    std::vector<std::string> words{"--check-queue"};
    if (of_check->repair) words.emplace_back("--repair");
    run(session, *of_check, std::move(words));
  });

  auto write = top.add("export",
                       "Write what is not on the server to a file, to carry it to another machine: changes in the "
                       "queue, run logs, 1.x directories, and files to be uploaded");
  const auto of_export = std::make_shared<Arguments>();
  write.required("FILE", of_export->file, "The file, which must not be there yet; - is standard output");
  write.flag(
      "--move", of_export->move,
      "Take it out of here once the file is on disk; the daemon must not run. 1.x directories travel with this only");
  add_config(write, of_export);
  write.action([&session, of_export] {
    std::vector<std::string> words{"--export", of_export->file};
    if (of_export->move) words.emplace_back("--move");
    run(session, *of_export, std::move(words));
  });

  auto read = top.add("import", "Take what another machine's `export` wrote to a file; the daemon must not run");
  const auto of_import = std::make_shared<Arguments>();
  read.required("FILE", of_import->file, "The file. It is checked as a whole first; importing it twice does no harm");
  read.optional("--into DIR", of_import->into,
                "Put logs below this folder, in `imported`; it must be watched. By default the first watched one");
  add_config(read, of_import);
  read.action([&session, of_import] {
    std::vector<std::string> words{"--import", of_import->file};
    if (of_import->into) words.insert(words.end(), {"--into", *of_import->into});
    run(session, *of_import, std::move(words));
  });
}

}  // namespace neptune::cli
