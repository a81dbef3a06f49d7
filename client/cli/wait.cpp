#include "client/lib/wait.h"

#include <CLI/App.hpp>
#include <cstdio>
#include <memory>

#include "client/cli/verbs.h"

namespace neptune::cli {

namespace {

int exit_of(client::WaitResult::Outcome outcome) {
  using enum client::WaitResult::Outcome;
  switch (outcome) {
    case synced:
      return Exit::done;
    case unreachable:
      return Exit::unreachable;
    case timed_out:
      return Exit::timed_out;
    case held:
      return Exit::held;
    case rejected:
    case failed:
      return Exit::failed;
  }
  return Exit::failed;
}

}  // namespace

void wait_for(Session& session, const client::WaitFor& what) {
  const std::function<void(const std::string&)> notice = [](const std::string& text) {
    std::fprintf(stderr, "neptune-sync: %s\n", clean(text).c_str());
  };
  const auto result = client::wait_until_synced(session.client(), what, notice);
  session.exit = exit_of(result.outcome);
  if (session.json && !result.json.empty()) session.print(result.json + "\n");
  if (session.exit != done)
    notice(result.message);
  else if (!session.json)
    session.print(clean(result.message) + "\n");
}

void add_wait(CLI::App& app, Session& session) {
  auto* verb = app.add_subcommand("wait", "Wait until all is synced: of a run, of a project, or of everything");
  const auto what = std::make_shared<client::WaitFor>();
  verb->add_option("--run", what->run, "A run id; one that was not seen yet is waited for");
  verb->add_option("--project", what->project, "A workspace/project, or a workspace");
  verb->add_flag("--now", what->now, "Don't wait for runs to be closed: nothing left at this instant is enough");
  const auto read_timeout = [what](const std::string& text) {
    what->timeout = parse_duration(text);
    if (!what->timeout) throw CLI::ValidationError("--timeout", "'" + text + "' is not a time; write 30s, 5m or 1h");
  };
  verb->add_option_function<std::string>("--timeout", read_timeout,
                                         "Give up after this time: 30s, 5m, 1h (default: never)");
  verb->callback([&session, what] { wait_for(session, *what); });
}

}  // namespace neptune::cli
