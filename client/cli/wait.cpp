#include "client/lib/wait.h"

#include <cstdio>
#include <memory>

#include "client/cli/verb.h"
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

void add_wait(Verb& top, Session& session) {
  auto verb = top.add("wait", "Wait until all is synced: of a run, of a project, or of everything");
  const auto what = std::make_shared<client::WaitFor>();
  verb.optional("--run", what->run, "A run id; one that was not seen yet is waited for");
  verb.optional("--project", what->project, "A workspace/project, or a workspace");
  verb.flag("--now", what->now, "Don't wait for runs to be closed: nothing left at this instant is enough");
  const auto timeout = std::make_shared<std::optional<std::string>>();
  verb.optional("--timeout", *timeout, "Give up after this time: 30s, 5m, 1h (default: never)");
  verb.action([&session, what, timeout] {
    if (*timeout) what->timeout = parse_duration(**timeout);
    if (*timeout && !what->timeout) wrong_usage("--timeout", "'" + **timeout + "' is not a time; write 30s, 5m or 1h");
    wait_for(session, *what);
  });
}

}  // namespace neptune::cli
