#include "changes/impl/management_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "changes/impl/values.h"
#include "changes/limits.h"

namespace neptune::changes {

namespace {

const std::vector<std::string_view> kVisibilities{"priv", "workspace", "pub"};
const std::vector<std::string_view> kRoles{"viewer", "member", "manager"};

WorkspaceType type_of(const ChangeFacts& facts, const std::string& workspace) {
  return facts.workspace_type ? facts.workspace_type(workspace) : WorkspaceType::unknown;
}

std::optional<Visibility> read_visibility(Fields& fields, const ProjectName& project, const ChangeFacts& facts) {
  const auto word = fields.text("visibility");
  if (!word) return std::nullopt;
  if (*word == "priv" || *word == "private") return Visibility::priv;
  if (*word == "pub" || *word == "public") return Visibility::pub;
  if (*word != "workspace") {
    fields.verdict().refuse(
        "unknown_visibility",
        fmt::format("There is no visibility {}; write private, workspace or public.", quoted(*word)),
        fields.path("visibility"));
    return std::nullopt;
  }
  if (type_of(facts, project.workspace) == WorkspaceType::individual)
    fields.verdict().refuse(std::string(individual_workspace),
                            fmt::format("The workspace {} belongs to one user, so a project in it cannot be visible to "
                                        "the workspace; make it private or public.",
                                        quoted(project.workspace)),
                            fields.path("visibility"));
  return Visibility::workspace;
}

Role read_role(Fields& fields) {
  const auto word = fields.required_text("role");
  if (word == "viewer") return Role::viewer;
  if (word == "member" || word == "contributor") return Role::member;
  if (word == "manager" || word == "owner") return Role::manager;
  fields.verdict().refuse("unknown_role",
                          fmt::format("There is no role {}; write viewer, contributor or owner (the server's words are "
                                      "viewer, member and manager).",
                                      quoted(word)),
                          fields.path("role"));
  return Role::viewer;
}

ProjectCreate read_project_create(Fields& fields, const ChangeFacts& facts) {
  fields.only({"project", "visibility", "description", "key"});
  ProjectCreate out{.project = read_project(fields)};
  check_new_project_name(out.project.project, fields.path("project"), fields.verdict());
  out.visibility = read_visibility(fields, out.project, facts);
  out.description = fields.text("description");
  if (out.description) check_string(*out.description, fields.path("description"), fields.verdict());
  out.key = fields.text("key");
  if (out.key) check_key(*out.key, fields.path("key"), fields.verdict());
  return out;
}

ProjectUpdate read_project_update(Fields& fields, const ChangeFacts& facts) {
  fields.only({"project", "visibility", "description", "name", "archived"});
  ProjectUpdate out{.project = read_project(fields)};
  out.visibility = read_visibility(fields, out.project, facts);
  out.description = fields.text("description");
  if (out.description) check_string(*out.description, fields.path("description"), fields.verdict());
  out.name = fields.text("name");
  if (out.name) check_new_project_name(*out.name, fields.path("name"), fields.verdict());
  out.archived = fields.flag("archived");
  const bool more = out.visibility || out.description || out.name;
  if (!more && !out.archived)
    fields.verdict().refuse("empty_change",
                            "The update changes nothing; give visibility, description, name or archived.", "");
  if (more && out.archived)
    fields.verdict().refuse("mixed_update",
                            "'archived' stands alone in an update, as archiving passes a read-only mode that holds the "
                            "rest; hand in two changes.",
                            fields.path("archived"));
  return out;
}

StorageLimit read_storage_limit(Fields& fields) {
  fields.only({"project", "bytes"});
  StorageLimit out{.project = read_project(fields)};
  const auto* bytes = fields.find("bytes");
  if (bytes && bytes->is(Json::Type::null)) return out;
  out.bytes = read_integer(bytes ? *bytes : fields.require("bytes", Json::Type::number), fields.path("bytes"),
                           fields.verdict());
  if (out.bytes && *out.bytes < 0)
    fields.verdict().refuse("negative_limit",
                            fmt::format("A storage limit of {} bytes cannot be; give null for no limit.", *out.bytes),
                            fields.path("bytes"));
  return out;
}

Membership read_membership(Fields& fields, MembershipAct act, bool service_account) {
  const std::string_view who = service_account ? "account" : "user";
  Membership out{.act = act, .service_account = service_account};
  if (act == MembershipAct::remove)
    fields.only({"project", who});
  else
    fields.only({"project", who, "role"});
  out.project = read_project(fields);
  out.who = fields.required_text(who);
  if (service_account)
    check_name(out.who, "The service account's name", limits::name_bytes, fields.path(who), fields.verdict());
  else
    check_user(out.who, fields.path(who), fields.verdict());
  if (act != MembershipAct::remove) out.role = read_role(fields);
  return out;
}

Invitation read_invitation(Fields& fields, const ChangeFacts& facts) {
  auto& verdict = fields.verdict();
  fields.only({"workspace", "user", "email", "role", "add_to_all_projects"});
  Invitation out{.workspace = fields.required_text("workspace")};
  check_workspace(out.workspace, fields.path("workspace"), verdict);
  const auto user = fields.text("user"), email = fields.text("email");
  if (!user == !email)
    verdict.refuse("who_is_invited", "An invitation names either a \"user\" or an \"email\"; give one of them.",
                   fields.path(user ? "email" : "user"));
  out.by_email = email.has_value();
  out.invitee = email.value_or(user.value_or(""));
  const std::string_view who = out.by_email ? "email" : "user";
  if (out.by_email)
    check_name(out.invitee, "The e-mail address", limits::name_bytes, fields.path(who), verdict);
  else
    check_user(out.invitee, fields.path(who), verdict);
  const auto at = out.invitee.find('@');
  if (out.by_email && (at == 0 || at == std::string::npos || at + 1 == out.invitee.size()))
    verdict.refuse("invalid_email", fmt::format("{} is no e-mail address; write name@host.", quoted(out.invitee)),
                   fields.path(who));
  const auto role = fields.required_text("role");
  if (role != "member" && role != "owner")
    verdict.refuse("unknown_role",
                   fmt::format("There is no role {} in a workspace; write member or owner.", quoted(role)),
                   fields.path("role"));
  out.owner = role == "owner";
  out.add_to_all_projects = fields.flag("add_to_all_projects").value_or(false);
  if (type_of(facts, out.workspace) == WorkspaceType::individual)
    verdict.refuse(std::string(individual_workspace),
                   fmt::format("The workspace {} belongs to one user, and nobody can be invited into it; use a team "
                               "workspace.",
                               quoted(out.workspace)),
                   fields.path("workspace"));
  return out;
}

RunsChange read_runs(Fields& fields, RunsAct act) {
  auto& verdict = fields.verdict();
  fields.only({"project", "runs"});
  RunsChange out{.project = read_project(fields), .act = act};
  const auto* runs = fields.find("runs");
  out.runs = read_texts(runs ? *runs : fields.require("runs", Json::Type::array), fields.path("runs"), verdict);
  if (out.runs.size() > limits::runs_per_change)
    verdict.refuse("too_many_runs",
                   fmt::format("{} runs are named, and one change takes {}; hand in several changes.", out.runs.size(),
                               limits::runs_per_change),
                   fields.path("runs"), Refusal::Kind::too_large);
  for (const auto& run : out.runs) check_run_id(run, fields.path("runs"), verdict);
  out.discard_pending = fields.flag("discard_pending").value_or(false);
  return out;
}

ModelCreate read_model_create(Fields& fields) {
  fields.only({"project", "key", "name"});
  ModelCreate out{.project = read_project(fields), .key = fields.required_text("key")};
  check_key(out.key, fields.path("key"), fields.verdict());
  out.name = fields.text("name");
  if (out.name) {
    check_name(*out.name, "The model's name", limits::string_bytes, fields.path("name"), fields.verdict());
  }
  return out;
}

ModelVersionCreate read_version_create(Fields& fields) {
  fields.only({"project", "model"});
  ModelVersionCreate out{.project = read_project(fields), .model = fields.required_text("model")};
  check_model_id(out.model, fields.path("model"), fields.verdict());
  return out;
}

std::string_view word(Visibility visibility) {
  return kVisibilities[static_cast<std::size_t>(visibility)];
}

struct Write {
  JsonObject& out;

  void operator()(const ProjectCreate& change) {
    out.text("project", change.project.full());
    if (change.visibility) out.text("visibility", word(*change.visibility));
    out.text_if("description", change.description);
    out.text_if("key", change.key);
  }
  void operator()(const ProjectUpdate& change) {
    out.text("project", change.project.full());
    if (change.visibility) out.text("visibility", word(*change.visibility));
    out.text_if("description", change.description);
    out.text_if("name", change.name);
    if (change.archived) out.flag("archived", *change.archived);
  }
  void operator()(const ProjectDelete& change) { out.text("project", change.project.full()); }
  void operator()(const StorageLimit& change) {
    out.text("project", change.project.full());
    if (change.bytes)
      out.number("bytes", *change.bytes);
    else
      out.member("bytes") += "null";
  }
  void operator()(const Membership& change) {
    out.text("project", change.project.full());
    out.text(change.service_account ? "account" : "user", change.who);
    if (change.act != MembershipAct::remove) out.text("role", kRoles[static_cast<std::size_t>(change.role)]);
  }
  void operator()(const Invitation& change) {
    out.text("workspace", change.workspace);
    out.text(change.by_email ? "email" : "user", change.invitee);
    out.text("role", change.owner ? "owner" : "member");
    out.flag("add_to_all_projects", change.add_to_all_projects);
  }
  void operator()(const RunsChange& change) {
    out.text("project", change.project.full());
    out.texts("runs", change.runs);
    if (change.discard_pending) out.flag("discard_pending", true);
  }
  void operator()(const TrashEmpty& change) { out.text("project", change.project.full()); }
  void operator()(const ModelCreate& change) {
    out.text("project", change.project.full());
    out.text("key", change.key);
    out.text_if("name", change.name);
  }
  void operator()(const ModelVersionCreate& change) {
    out.text("project", change.project.full());
    out.text("model", change.model);
  }
};

template <class T>
T read_bare(Fields& fields) {
  fields.only({"project"});
  return T{read_project(fields)};
}

}  // namespace

std::optional<Management> read_management(ChangeKind kind, Fields& fields, const ChangeFacts& facts) {
  switch (kind) {
    case ChangeKind::project_create:
      return read_project_create(fields, facts);
    case ChangeKind::project_update:
      return read_project_update(fields, facts);
    case ChangeKind::project_delete:
      return read_bare<ProjectDelete>(fields);
    case ChangeKind::project_set_storage_limit:
      return read_storage_limit(fields);
    case ChangeKind::member_add:
      return read_membership(fields, MembershipAct::add, false);
    case ChangeKind::member_update:
      return read_membership(fields, MembershipAct::update, false);
    case ChangeKind::member_remove:
      return read_membership(fields, MembershipAct::remove, false);
    case ChangeKind::service_account_add:
      return read_membership(fields, MembershipAct::add, true);
    case ChangeKind::service_account_update:
      return read_membership(fields, MembershipAct::update, true);
    case ChangeKind::service_account_remove:
      return read_membership(fields, MembershipAct::remove, true);
    case ChangeKind::workspace_invite:
      return read_invitation(fields, facts);
    case ChangeKind::run_trash:
      return read_runs(fields, RunsAct::trash);
    case ChangeKind::run_restore:
      return read_runs(fields, RunsAct::restore);
    case ChangeKind::run_delete:
      return read_runs(fields, RunsAct::remove);
    case ChangeKind::run_archive:
      return read_runs(fields, RunsAct::archive);
    case ChangeKind::run_unarchive:
      return read_runs(fields, RunsAct::unarchive);
    case ChangeKind::trash_empty:
      return read_bare<TrashEmpty>(fields);
    case ChangeKind::model_create:
      return read_model_create(fields);
    case ChangeKind::model_version_create:
      return read_version_create(fields);
    case ChangeKind::run_create:
    case ChangeKind::run_update:
    case ChangeKind::model_update:
    case ChangeKind::model_version_update:
    case ChangeKind::project_metadata:
    case ChangeKind::client_operation:
    case ChangeKind::run_upload:
      break;
  }
  return std::nullopt;
}

std::string management_json(ChangeKind kind, const Management& management) {
  std::string text;
  JsonObject out(text);
  out.text("kind", name(kind));
  std::visit(Write{out}, management);
  out.end();
  return text;
}

}  // namespace neptune::changes
