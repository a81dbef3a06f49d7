#include "engine/impl/why.h"

#include <fmt/format.h>

namespace neptune::engine {

using core::Wait;

namespace {

std::string read_only(const Scope& scope, const Waiting& waiting) {
  return fmt::format("{} is read-only on the server: {}; the next probe is {}", scope.text(), waiting.reason,
                     waiting.when);
}

std::string held(const Scope& scope, const Waiting& waiting) {
  return fmt::format("{} is held by {}; 'neptune-sync release {}' ends that", scope.text(), waiting.held_by,
                     scope.text());
}

std::string not_counted(const Waiting& waiting) {
  if (!waiting.unread.empty()) return "what waits in it cannot be read now: " + waiting.unread;
  return waiting.kind == sources::Kind::change_queue ? "what follows is being looked up"
                                                     : "its log is being looked through";
}

}  // namespace

std::optional<Scope> waits_for_mode_of(Wait wait, const ProjectName& project) {
  if (wait == Wait::workspace_mode || wait == Wait::workspace_held) return Scope::of(project.workspace);
  if (wait == Wait::project_mode || wait == Wait::project_held) return Scope::of(project);
  return std::nullopt;
}

std::string why(const Waiting& waiting) {
  const auto& project = waiting.container.project;
  switch (waiting.wait) {
    case Wait::nothing:
      return {};
    case Wait::turn:
      return "its turn comes with the next free connection";
    case Wait::sending:
      return "being sent";
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
    case Wait::retry:
    case Wait::server:
      return fmt::format("{}; tried again {}", waiting.trouble, waiting.when);
    case Wait::workspace_mode:
    case Wait::project_mode:
      return read_only(*waits_for_mode_of(waiting.wait, project), waiting);
    case Wait::workspace_held:
    case Wait::project_held:
      return held(*waits_for_mode_of(waiting.wait, project), waiting);
    case Wait::ramp:
      return fmt::format("released; its turn comes {}", waiting.when);
  }
  return {};
}

}  // namespace neptune::engine
