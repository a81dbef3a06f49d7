#include <memory>

#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string workspace;
  std::optional<std::string> user, email, role;
  bool add_to_all_projects = false;
  HandIn how;
};

void add_invite(Verb& parent, Session& session) {
  auto verb = parent.add("invite", "Invite somebody to a workspace; one who is invited already, to be that instead");
  const auto arguments = std::make_shared<Arguments>();
  verb.required("WORKSPACE", arguments->workspace, "The workspace's name");
  verb.optional("--user NAME", arguments->user, "Who, by their user's name");
  verb.optional("--email ADDRESS", arguments->email, "Or by their address, which the invitation is sent to");
  verb.optional("--role ROLE", arguments->role, "member or owner (default: member)");
  verb.flag("--add-to-all-projects", arguments->add_to_all_projects, "Make them a member of its projects, too");
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    if (arguments->user.has_value() == arguments->email.has_value())
      wrong_usage("--user", "Say who is invited, by one of --user NAME and --email ADDRESS.");
    ChangeText change("workspace.invite");
    change.text("user", arguments->user).text("email", arguments->email);
    change.text("role", arguments->role.value_or("member"));
    if (arguments->add_to_all_projects) change.json("add_to_all_projects", "true");
    hand_in_to_workspace(session, arguments->how, std::move(change), arguments->workspace);
  });
}

}  // namespace

void add_workspace_verbs(Verb& top, Session& session) {
  auto workspace = top.add("workspace", "Invite people to a workspace");
  add_invite(workspace, session);
}

}  // namespace neptune::cli
