#include <memory>

#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string project;
  bool discard_pending = false;
  HandIn how;
};

}  // namespace

void add_trash(Verb& top, Session& session) {
  auto trash = top.add("trash", "Empty the trash of a project");
  auto verb = trash.add("empty", "Delete for good what is in a project's trash");
  const auto arguments = std::make_shared<Arguments>();
  verb.required("PROJECT", arguments->project, "The project, as workspace/project");
  verb.flag("--discard-pending", arguments->discard_pending,
            "Don't wait for held writes to it: record those as rejected");
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    ChangeText change("trash.empty");
    if (arguments->discard_pending) change.json("discard_pending", "true");
    hand_in(session, arguments->how, std::move(change), arguments->project);
  });
}

}  // namespace neptune::cli
