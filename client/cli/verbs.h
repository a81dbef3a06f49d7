#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "client/cli/text.h"
#include "client/lib/client.h"

namespace neptune::client {
struct WaitFor;
}
namespace neptune::man {
struct Command;
}

/// One function a verb: adds it to `top`, the command line; its action asks the daemon, prints, and sets the exit code.
namespace neptune::cli {

class Verb;

enum Exit : int { done = 0, failed = 1, usage = 2, unreachable = 3, timed_out = 4, held = 5, partly = 6 };

struct Session {
  std::string socket;
  bool json = false;
  Style style;
  int exit = done;

  /// `patience`: how long changes are handed in again while the daemon has no room for them.
  client::Client client(std::chrono::milliseconds patience = std::chrono::minutes(1)) const {
    return client::Client(
        {socket.empty() ? client::default_socket() : socket, std::chrono::seconds(10), &answered_, patience});
  }

  /// Where --socket and $NEPTUNE_SYNC_SOCKET name none, and another daemon listens than the one that is asked: which it
  /// is, and how to choose the other one; else empty.
  std::string which_daemon() const;

  void print(std::string_view text) const;
  /// The sentence on standard error, or the error as JSON; and the exit code that goes with it.
  void fail_with(const Error& error);
  /// Of a call that failed last, and not for want of a daemon: what the daemon finds wrong with the words themselves,
  /// whatever the state of things, is a wrong usage.
  Exit exit_of_refusal(const std::string& code = {}) const;
  /// Of the last request, what the daemon found at fault: "1.assign.loss"; else empty.
  const std::string& field_at_fault() const { return answered_.field; }
  /// The same by another name: that of the file of which the request was a part.
  void field_at_fault(std::string field) { answered_.field = std::move(field); }

 private:
  mutable client::Answered answered_;
};

void add_status(Verb& top, Session& session);
void add_explain(Verb& top, Session& session);
void add_doctor(Verb& top, Session& session);
void add_watch(Verb& top, Session& session);
void add_streams(Verb& top, Session& session);
void add_rejected(Verb& top, Session& session);
void add_events(Verb& top, Session& session);
void add_scope_verbs(Verb& top, Session& session);  // hold, release, discard, probe
void add_tidy(Verb& top, Session& session);
void add_queue(Verb& top, Session& session);  // queue check, export, import
void add_flush(Verb& top, Session& session);
void add_wait(Verb& top, Session& session);
void add_change(Verb& top, Session& session);
/// `tree` is the whole command line, asked for when all of it was added.
void add_completion(Verb& top, Session& session, std::function<man::Command()> tree);
void add_project_verbs(Verb& top, Session& session);
void add_workspace_verbs(Verb& top, Session& session);
void add_run_verbs(Verb& top, Session& session);
void add_model_verbs(Verb& top, Session& session);
void add_trash(Verb& top, Session& session);

/// Those below a verb that a file of their own adds: members and accounts of `project`; log, tag and untag of `run`.
void add_members(Verb& project, Session& session);
void add_run_log(Verb& run, Session& session);

/// Waits, says how it ended, and sets the exit code.
void wait_for(Session& session, const client::WaitFor& what);

/// Prints the JSON of a reply as it came, or what `text` makes of its value. False when it was an error.
template <class T, class Text>
bool show(Session& session, const Result<client::Reply<T>>& reply, Text text) {
  if (!reply) {
    session.fail_with(reply.error());
    return false;
  }
  session.print(session.json ? reply->json + "\n" : text(reply->value));
  return true;
}

}  // namespace neptune::cli
