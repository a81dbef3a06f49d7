#include <memory>

#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string who, role, project;
  HandIn how;
};

/// Members and service accounts differ in their words alone.
struct Words {
  std::string verb, kind, field, placeholder, people;
};

void add_one(Verb& parent, Session& session, const Words& words, const std::string& name,
             const std::string& description) {
  auto verb = parent.add(name, description);
  const auto arguments = std::make_shared<Arguments>();
  verb.required(words.placeholder, arguments->who, "Whose role it is");
  if (name != "remove") verb.required("--role", arguments->role, "viewer, contributor or owner");
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  const auto kind = words.kind + "." + name;
  verb.action([&session, arguments, kind, field = words.field] {
    ChangeText change(kind);
    change.text(field, arguments->who);
    if (!arguments->role.empty()) change.text("role", arguments->role);
    hand_in(session, arguments->how, std::move(change), arguments->project);
  });
}

void add_group(Verb& project, Session& session, const Words& words) {
  auto group = project.add(words.verb, "Who may do what in a project: " + words.people);
  add_one(group, session, words, "add", "Give somebody a role in a project");
  add_one(group, session, words, "update", "Give somebody another role");
  add_one(group, session, words, "remove", "Take somebody out of a project");
}

}  // namespace

void add_members(Verb& project, Session& session) {
  add_group(project, session, {"members", "member", "user", "USER", "its members"});
  add_group(project, session, {"accounts", "service_account", "account", "ACCOUNT", "service accounts"});
}

}  // namespace neptune::cli
