#include <algorithm>
#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string scope;
  bool dry_run = false;
  std::optional<std::string> run{}, model{};
};

std::string message_of(const api::ScopeReply& reply) {
  return clean(reply.message) + "\n";
}

/// Empty where something of the scope is known, or about to be; else a sentence, or a few.
std::string unknown(const client::Client& client, const std::string& scope) {
  const auto status = client.status();
  if (!status) return {};
  const auto known = api::scope_names(status->value);
  if (std::ranges::find(known, scope) != known.end()) return {};
  const auto& sources = status->value.sources;
  if (api::what_is_unread(sources, scope, std::nullopt).named) return {};
  return api::of_unknown("Nothing is known of " + scope + ": no change of it was found, or came over the socket.",
                         scope, known, sources);
}

/// As `show`; but where nothing came of it, and nothing is known of the scope, that is the answer, and a failure.
template <class T, class Text>
void show_of_known(Session& session, const std::string& unknown, const Result<client::Reply<T>>& reply, bool came_of_it,
                   Text text) {
  if (!came_of_it && !unknown.empty()) return session.fail_with({"unknown_scope", unknown});
  show(session, reply, text);
}

void plan_release(Session& session, const std::string& scope) {
  const auto client = session.client();
  const auto nothing_known = unknown(client, scope);
  const auto reply = client.plan_release(scope);
  const bool some = reply && reply->value.changes + reply->value.staying > 0;
  const auto text = [&session](const api::ReleasePlan& plan) { return view(plan, session.style); };
  show_of_known(session, nothing_known, reply, some, text);
}

void throw_away(Session& session, const Arguments& arguments) {
  const auto client = session.client();
  const auto &run = arguments.run, &model = arguments.model;
  const auto reply = run     ? client.discard_waiting(arguments.scope, "run", *run)
                     : model ? client.discard_waiting(arguments.scope, "model", *model)
                             : client.discard_waiting(arguments.scope);
  show(session, reply, [](const api::DiscardReply& done) { return clean(done.message) + "\n"; });
  if (reply && reply->value.discarded + reply->value.lost == 0 && reply->value.left > 0) session.exit = Exit::failed;
}

void probe(Session& session, const std::string& scope) {
  const auto client = session.client();
  const auto nothing_known = unknown(client, scope);
  show_of_known(session, nothing_known, client.probe(scope), false, message_of);
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
    if (arguments->dry_run)
      plan_release(session, arguments->scope);
    else
      show(session, session.client().release(arguments->scope), message_of);
  });
  auto discard =
      add_verb(top, "discard",
               "Throw away what waits for a scope and was handed in (it is kept as rejected), and give up what "
               "was lost with removed logs",
               arguments);
  discard.optional("--run RUN", arguments->run, "Of this run alone, by its id");
  discard.optional("--model MODEL", arguments->model, "Of this model, or model version, alone");
  discard.action([&session, arguments] {
    if (arguments->run && arguments->model) wrong_usage("--model", "Name a run or a model, and not both.");
    throw_away(session, *arguments);
  });
  add_verb(top, "probe", "Ask the server now whether a scope is writable again", arguments)
      .action([&session, arguments] { probe(session, arguments->scope); });
}

}  // namespace neptune::cli
