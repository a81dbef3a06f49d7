#include <memory>

#include "client/cli/hand_in.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string who, role;
  Project project;
  HandIn how;
};

/// Members and service accounts differ in their words alone.
struct Words {
  std::string verb, kind, field, placeholder, people, whose;
};

void add_one(Verb& parent, Session& session, const Words& words, const std::string& name,
             const std::string& description) {
  auto verb = parent.add(name, description);
  const auto arguments = std::make_shared<Arguments>();
  verb.required(words.placeholder, arguments->who, words.whose);
  if (name != "remove") verb.required("--role ROLE", arguments->role, "viewer, contributor or owner");
  arguments->project.add_to(verb);
  arguments->how.add_to(verb);
  const auto kind = words.kind + "." + name;
  verb.action([&session, arguments, kind, field = words.field] {
    ChangeText change(kind);
    change.text(field, arguments->who);
    if (!arguments->role.empty()) change.text("role", arguments->role);
    hand_in(session, arguments->how, std::move(change), arguments->project.named());
  });
}

void add_list(Verb& parent, Session& session, bool service_accounts) {
  auto verb = parent.add("list", "Who has which role in a project, as the server lists it");
  const auto project = std::make_shared<Project>();
  project->add_to(verb);
  verb.action([&session, project, service_accounts] {
    const auto text = [&session, service_accounts](const api::MemberList& list) {
      return view(list, service_accounts, session.style);
    };
    show(session, session.client().members(project->named()), text);
  });
}

void add_group(Verb& project, Session& session, const Words& words, bool service_accounts) {
  auto group = project.add(words.verb, "Who may do what in a project: " + words.people);
  add_one(group, session, words, "add", "Give somebody a role in a project");
  add_one(group, session, words, "update", "Give somebody another role");
  add_one(group, session, words, "remove", "Take somebody out of a project");
  add_list(group, session, service_accounts);
}

}  // namespace

void add_members(Verb& project, Session& session) {
  add_group(project, session, {"members", "member", "user", "USER", "its members", "The user's name"}, false);
  add_group(
      project, session,
      {"accounts", "service_account", "account", "ACCOUNT", "service accounts", "The name of the service account"},
      true);
}

}  // namespace neptune::cli
