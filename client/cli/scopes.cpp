#include <CLI/App.hpp>
#include <memory>

#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string scope;
  bool dry_run = false;
};

std::string message_of(const api::ScopeReply& reply) {
  return clean(reply.message) + "\n";
}

CLI::App* add_verb(CLI::App& app, const char* name, const char* description,
                   const std::shared_ptr<Arguments>& arguments) {
  auto* verb = app.add_subcommand(name, description);
  verb->add_option("SCOPE", arguments->scope, "A workspace, or workspace/project")->required();
  return verb;
}

}  // namespace

void add_scope_verbs(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<Arguments>();
  add_verb(app, "hold", "Keep a scope's changes on disk until they are released", arguments)
      ->callback([&session, arguments] { show(session, session.client().hold(arguments->scope), message_of); });
  auto* release = add_verb(app, "release", "Let a held scope's changes go", arguments);
  release->add_flag("--dry-run", arguments->dry_run, "Only say what would go");
  release->callback([&session, arguments] {
    if (!arguments->dry_run) {
      show(session, session.client().release(arguments->scope), message_of);
      return;
    }
    const auto text = [&session](const api::ReleasePlan& plan) { return view(plan, session.style); };
    show(session, session.client().plan_release(arguments->scope), text);
  });
  add_verb(app, "probe", "Ask the server now whether a scope is writable again", arguments)
      ->callback([&session, arguments] { show(session, session.client().probe(arguments->scope), message_of); });
}

}  // namespace neptune::cli
