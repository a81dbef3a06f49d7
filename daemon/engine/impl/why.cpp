#include "engine/impl/why.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace neptune::engine {

using core::Wait;

namespace {

std::string read_only(const Closed& closed) {
  return fmt::format("{} is read-only on the server: {}; the next probe is {}", closed.scope.text(), closed.reason,
                     closed.probe);
}

std::string held(const Closed& closed) {
  return fmt::format("{0} is held by {1}; `neptune-sync release {0}` ends that", closed.scope.text(), *closed.held_by);
}

std::string not_counted(const Waiting& waiting) {
  if (!waiting.unread.empty()) return "what waits in it cannot be read now: " + waiting.unread;
  return waiting.kind == sources::Kind::change_queue ? "what follows is being looked up"
                                                     : "its log is being looked through";
}

}  // namespace

std::string why(const std::vector<Closed>& closed) {
  std::vector<std::string> sentences;
  for (const auto& each : closed)
    if (each.held_by) sentences.push_back(held(each));
  for (const auto& each : closed)
    if (each.read_only) sentences.push_back(read_only(each));
  return fmt::format("{}", fmt::join(sentences, ". "));
}

std::string why(const Waiting& waiting) {
  const auto& project = waiting.container.project;
  switch (waiting.wait) {
    case Wait::nothing:
      return {};
    case Wait::turn:
      return "its turn comes with the next free connection";
    case Wait::sending:
      return "being sent" + (waiting.unanswered
                                 ? fmt::format("; the server has not answered for {} s", waiting.unanswered->count())
                                 : std::string());
    case Wait::unconfirmed:
      return "sent; the server has not confirmed it yet" +
             (waiting.trouble.empty() ? std::string() : " (" + waiting.trouble + ")");
    case Wait::counting:
      return not_counted(waiting);
    case Wait::paused:
      return waiting.left_to_client ? "the client's own sync process has it; what that leaves is taken over"
                                    : "it is being found out whether the client syncs it by itself";
    case Wait::earlier_source:
      return "an older log of the same run goes first";
    case Wait::parent:
      return fmt::format("a fork: the create of its parent {} must be on the server first",
                         waiting.fork_parent ? waiting.fork_parent->id : "run");
    case Wait::discovery:
      return "a fork: its parent's log may still be found here";
    case Wait::project:
      return fmt::format("the create of {} must be on the server first", project.full());
    case Wait::earlier_change:
      if (waiting.container.kind == ContainerKind::files) return "the create of the run must be on the server first";
      return "earlier changes to the same thing go first";
    case Wait::server:
      if (waiting.lacks_token) return fmt::format("there is no API token to use: {}", waiting.trouble);
      if (waiting.cannot_ask) return fmt::format("the server cannot be asked: {}", waiting.trouble);
      [[fallthrough]];
    case Wait::retry:
      return fmt::format("{}; tried again {}", waiting.trouble, waiting.when);
    case Wait::workspace_mode:
    case Wait::project_mode:
    case Wait::workspace_held:
    case Wait::project_held:
      return why(waiting.closed);
    case Wait::ramp:
      return fmt::format("released; its turn comes {}", waiting.when);
  }
  return {};
}

}  // namespace neptune::engine
