#include <memory>

#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::optional<std::string> project, named;
  bool discard_pending = false;
  Sure sure;
  HandIn how;
};

}  // namespace

void add_trash(Verb& top, Session& session) {
  auto trash = top.add("trash", "Empty the trash of a project");
  auto verb = trash.add("empty", "Delete for good what is in a project's trash");
  const auto arguments = std::make_shared<Arguments>();
  verb.optional("PROJECT", arguments->project, "The project, as workspace/project");
  // Not $NEPTUNE_PROJECT: what is deleted for good is named each time.
  verb.optional("--project PROJECT", arguments->named, "The same");
  verb.flag("--discard-pending", arguments->discard_pending,
            "Don't wait for held writes to it: record those as rejected");
  arguments->sure.add_to(verb);
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    if (arguments->project.has_value() == arguments->named.has_value())
      wrong_usage("PROJECT", "Say once whose trash it is, as in `neptune-sync trash empty workspace/project`.");
    const auto project = arguments->project ? *arguments->project : *arguments->named;
    ChangeText change("trash.empty");
    if (arguments->discard_pending) change.json("discard_pending", "true");
    if (arguments->sure.ask(session, "Delete for good what is in the trash of " + project))
      hand_in(session, arguments->how, std::move(change), project);
  });
}

}  // namespace neptune::cli
