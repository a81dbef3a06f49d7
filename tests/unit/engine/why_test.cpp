#include "engine/impl/why.h"

#include <gtest/gtest.h>

#include <set>

// What people are told of each thing that a stream can wait for.
namespace neptune::engine {
namespace {

using core::Wait;

Closed closed_as(Wait wait, const ProjectName& project) {
  const bool workspace = wait == Wait::workspace_mode || wait == Wait::workspace_held;
  Closed closed{.scope = workspace ? Scope::of(project.workspace) : Scope::of(project)};
  closed.reason = "Storage limit exceeded";
  closed.probe = "in 5 s";
  closed.read_only = wait == Wait::workspace_mode || wait == Wait::project_mode;
  if (!closed.read_only) closed.held_by = "jackie";
  return closed;
}

/// A stream that waits, with everything that could be told of it.
Waiting waiting_for(Wait wait) {
  const ProjectName project{"ml-team", "lab"};
  return {.wait = wait,
          .container = {project, "r-1", ContainerKind::run},
          .fork_parent = ContainerName{project, "parent-1", ContainerKind::run},
          .trouble = "the server is busy",
          .when = "in 5 s",
          .closed = {closed_as(wait, project)}};
}

/// As it is told. A new reason is missed here by the compiler.
std::string expected(Wait wait) {
  switch (wait) {
    case Wait::nothing:
      return "";
    case Wait::turn:
      return "its turn comes with the next free connection";
    case Wait::sending:
      return "being sent";
    case Wait::unconfirmed:
      return "sent; the server has not confirmed it yet (the server is busy)";
    case Wait::counting:
      return "its log is being looked through";
    case Wait::paused:
      return "it is being found out whether the client syncs it by itself";
    case Wait::earlier_source:
      return "an older log of the same run goes first";
    case Wait::parent:
      return "a fork: the create of its parent parent-1 must be on the server first";
    case Wait::discovery:
      return "a fork: its parent's log may still be found here";
    case Wait::project:
      return "the create of ml-team/lab must be on the server first";
    case Wait::earlier_change:
      return "earlier changes to the same thing go first";
    case Wait::retry:
    case Wait::server:
      return "the server is busy; tried again in 5 s";
    case Wait::workspace_mode:
      return "ml-team is read-only on the server: Storage limit exceeded; the next probe is in 5 s";
    case Wait::project_mode:
      return "ml-team/lab is read-only on the server: Storage limit exceeded; the next probe is in 5 s";
    case Wait::workspace_held:
      return "ml-team is held by jackie; `neptune-sync release ml-team` ends that";
    case Wait::project_held:
      return "ml-team/lab is held by jackie; `neptune-sync release ml-team/lab` ends that";
    case Wait::ramp:
      return "released; its turn comes in 5 s";
  }
  return "?";
}

TEST(Why, EveryReasonIsASentenceWithItsNames) {
  EXPECT_EQ(why(waiting_for(Wait::nothing)), "");
  std::set<std::string_view> words;
  for (int i = 1; core::word(static_cast<Wait>(i)) != core::word(Wait::nothing); ++i) {
    const auto wait = static_cast<Wait>(i);
    EXPECT_EQ(why(waiting_for(wait)), expected(wait)) << core::word(wait);
    EXPECT_TRUE(words.insert(core::word(wait)).second) << core::word(wait);
  }
  EXPECT_EQ(words.size(), 17u);
}

TEST(Why, NamesTheHoldAndTheReadOnlyModeWhereBothKeepIt) {
  auto waiting = waiting_for(Wait::project_held);
  waiting.closed.front().read_only = true;
  waiting.closed.push_back(closed_as(Wait::workspace_mode, waiting.container.project));
  EXPECT_EQ(why(waiting),
            "ml-team/lab is held by jackie; `neptune-sync release ml-team/lab` ends that. ml-team/lab is read-only on "
            "the server: Storage limit exceeded; the next probe is in 5 s. ml-team is read-only on the server: Storage "
            "limit exceeded; the next probe is in 5 s");
}

TEST(Why, SaysWhatIsKnownMoreClosely) {
  auto unread = waiting_for(Wait::counting);
  unread.unread = "it is locked";
  EXPECT_EQ(why(unread), "what waits in it cannot be read now: it is locked");
  auto queued = waiting_for(Wait::counting);
  queued.kind = sources::Kind::change_queue;
  EXPECT_EQ(why(queued), "what follows is being looked up");
  auto left = waiting_for(Wait::paused);
  left.left_to_client = true;
  EXPECT_EQ(why(left), "the client's own sync process has it; what that leaves is taken over");
  auto files = waiting_for(Wait::earlier_change);
  files.container.kind = ContainerKind::files;
  EXPECT_EQ(why(files), "the create of the run must be on the server first");
  auto sent = waiting_for(Wait::unconfirmed);
  sent.trouble.clear();
  EXPECT_EQ(why(sent), "sent; the server has not confirmed it yet");
  auto silent = waiting_for(Wait::sending);
  silent.unanswered = std::chrono::seconds(45);
  EXPECT_EQ(why(silent), "being sent; the server has not answered for 45 s");
  auto unusable = waiting_for(Wait::server);
  unusable.cannot_ask = true;
  EXPECT_EQ(why(unusable), "the server cannot be asked: the server is busy");
  auto fork = waiting_for(Wait::parent);
  fork.fork_parent.reset();
  EXPECT_EQ(why(fork), "a fork: the create of its parent run must be on the server first");
}

}  // namespace
}  // namespace neptune::engine
