#include "client/lib/wait.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "client/cli/hand_in.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"

namespace neptune::cli {

namespace {

int exit_of(client::WaitResult::Outcome outcome, const Session& session) {
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
      return Exit::failed;
    case failed:
      return session.exit_of_refusal();
  }
  return Exit::failed;
}

/// How far it is, on the terminal that standard error is; elsewhere, as in the log of a batch job, nothing.
class Bar {
 public:
  explicit Bar(std::size_t width) : width_(width) {}

  bool drawn() const { return width_ > 0; }

  void show(const client::Progress& now) {
    if (!drawn()) return;
    if (!begun_) begun_ = now.synced;
    const auto done = now.synced - std::min(now.synced, *begun_);
    // The last column stays free: some terminals begin a new line there.
    // While files are on their way, they are what takes long.
    const auto line = now.active_uploads.empty()
                          ? progress_bar(done, now.pending + now.held + now.in_flight, now.held, width_ - 1)
                          : upload_bar(now.active_uploads, width_ - 1);
    std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
    shown_ = true;
  }
  void erase() {
    if (std::exchange(shown_, false)) std::fputs("\r\x1b[K", stderr);
  }

 private:
  std::size_t width_;
  std::optional<std::uint64_t> begun_;  // what was synced when it began to wait
  bool shown_ = false;
};

}  // namespace

void wait_for(Session& session, const client::WaitFor& what) {
  Bar bar(session.json ? 0 : terminal_width(STDERR_FILENO));
  const std::function<void(const std::string&)> notice = [&bar](const std::string& text) {
    bar.erase();
    std::fputs(message(text).c_str(), stderr);
  };
  const std::function<void(const client::Progress&)> progress = [&bar](const client::Progress& now) { bar.show(now); };
  // Somebody looks on: then it moves each second.
  const auto recheck = std::chrono::seconds(bar.drawn() ? 1 : 10);
  const auto result = client::wait_until_synced(session.client(), what, notice, recheck, progress);
  bar.erase();
  session.exit = exit_of(result.outcome, session);
  if (session.json && !result.json.empty()) session.print(result.json + "\n");
  if (session.exit != done)
    notice(result.message);
  else if (!session.json)
    session.print(clean(result.message) + "\n");
}

void add_wait(Verb& top, Session& session) {
  auto verb = top.add("wait", "Wait until all is synced: of a run, of a project, or of everything");
  const auto what = std::make_shared<client::WaitFor>();
  verb.optional("--run RUN", what->run,
                "Only for this run, by its id, in $NEPTUNE_PROJECT where --project is not given, without either in any "
                "project; one that was not seen yet is waited for");
  verb.optional("--project SCOPE", what->project, "Only for this workspace/project, or workspace");
  verb.flag("--now", what->now, "Don't wait for runs to be closed: all that is there when this begins is enough");
  const auto timeout = std::make_shared<std::optional<std::string>>();
  verb.optional(
      "--timeout TIME", *timeout,
      "Give up after this time: 30s, 5m, 1h (default: never); it then ends with 4, or with 5 when all that is left "
      "is held");
  verb.action([&session, what, timeout] {
    if (*timeout) what->timeout = parse_duration(**timeout);
    if (*timeout && !what->timeout) wrong_usage("--timeout", "'" + **timeout + "' is not a time; write 30s, 5m or 1h");
    what->project_at_hand = project_at_hand();
    wait_for(session, *what);
  });
}

}  // namespace neptune::cli
