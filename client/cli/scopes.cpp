#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string scope;
  bool dry_run = false;
  std::optional<std::string> run{};
};

std::string message_of(const api::ScopeReply& reply) {
  return clean(reply.message) + "\n";
}

Verb add_verb(Verb& top, const char* name, const char* description, const std::shared_ptr<Arguments>& arguments) {
  auto verb = top.add(name, description);
  verb.required("SCOPE", arguments->scope, "A workspace, or a project as workspace/project");
  return verb;
}

}  // namespace

void add_scope_verbs(Verb& top, Session& session) {
  const auto arguments = std::make_shared<Arguments>();
  add_verb(top, "hold", "Keep a scope's changes on disk until they are released", arguments)
      .action([&session, arguments] { show(session, session.client().hold(arguments->scope), message_of); });
  auto release = add_verb(top, "release", "Let a held scope's changes go", arguments);
  release.flag("--dry-run", arguments->dry_run, "Only say what would go");
  release.action([&session, arguments] {
    if (!arguments->dry_run) {
      show(session, session.client().release(arguments->scope), message_of);
      return;
    }
    const auto text = [&session](const api::ReleasePlan& plan) { return view(plan, session.style); };
    show(session, session.client().plan_release(arguments->scope), text);
  });
  auto discard =
      add_verb(top, "discard",
               "Throw away what waits for a scope and was handed in (it is kept as rejected), and give up what "
               "was lost with removed logs",
               arguments);
  discard.optional("--run RUN", arguments->run, "Of this run alone, by its id");
  discard.action([&session, arguments] {
    const auto reply = session.client().discard_waiting(arguments->scope, arguments->run);
    show(session, reply, [](const api::DiscardReply& done) { return clean(done.message) + "\n"; });
    if (reply && reply->value.discarded + reply->value.lost == 0 && reply->value.left > 0) session.exit = Exit::failed;
  });
  add_verb(top, "probe", "Ask the server now whether a scope is writable again", arguments)
      .action([&session, arguments] { show(session, session.client().probe(arguments->scope), message_of); });
}

}  // namespace neptune::cli
