#include <memory>

#include "client/cli/attributes.h"
#include "client/cli/hand_in.h"
#include "client/cli/views.h"
#include "support/parse_size.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string project;
  std::optional<std::string> visibility, description, key, name, bytes;
  bool discard_pending = false, no_limit = false;
  Sure sure;
  Attributes attributes;
  HandIn how;
};

using Shared = std::shared_ptr<Arguments>;

Shared project_arguments(Verb& verb) {
  auto arguments = std::make_shared<Arguments>();
  verb.required("PROJECT", arguments->project, "The project, as workspace/project");
  return arguments;
}

void finish(Verb& verb, Session& session, const Shared& arguments, std::function<ChangeText()> change) {
  arguments->how.add_to(verb);
  verb.action([&session, arguments, change = std::move(change)] {
    hand_in(session, arguments->how, change(), arguments->project);
  });
}

void add_discard(Verb& verb, Arguments& arguments) {
  verb.flag("--discard-pending", arguments.discard_pending,
            "Don't wait for held writes to it: record those as rejected");
}

void add_create(Verb& parent, Session& session) {
  auto verb = parent.add("create", "Create a project");
  const auto arguments = project_arguments(verb);
  verb.optional("--visibility WORD", arguments->visibility, "Who may see it: private, workspace or public");
  verb.optional("--description TEXT", arguments->description, "What it is for");
  verb.optional("--key KEY", arguments->key, "What its runs' short ids begin with, as in LAB-1");
  finish(verb, session, arguments, [arguments] {
    ChangeText change("project.create");
    change.text("visibility", arguments->visibility).text("description", arguments->description);
    return change.text("key", arguments->key);
  });
}

void add_update(Verb& parent, Session& session) {
  auto verb = parent.add("update", "Change a project's visibility, description or name");
  const auto arguments = project_arguments(verb);
  verb.optional("--visibility WORD", arguments->visibility, "Who may see it: private, workspace or public");
  verb.optional("--description TEXT", arguments->description, "What it is for");
  verb.optional("--name NAME", arguments->name, "Its new name, without the workspace");
  finish(verb, session, arguments, [arguments] {
    ChangeText change("project.update");
    change.text("visibility", arguments->visibility).text("description", arguments->description);
    return change.text("name", arguments->name);
  });
}

void add_archive(Verb& parent, Session& session, bool archived) {
  auto verb = archived ? parent.add("archive", "Archive a project: it is kept, and not written to any more")
                       : parent.add("unarchive", "Take a project out of the archive");
  const auto arguments = project_arguments(verb);
  if (archived) add_discard(verb, *arguments);
  finish(verb, session, arguments, [arguments, archived] {
    ChangeText change("project.update");
    if (arguments->discard_pending) change.json("discard_pending", "true");
    return change.json("archived", archived ? "true" : "false");
  });
}

void add_delete(Verb& parent, Session& session) {
  auto verb = parent.add("delete", "Delete a project with all that is in it");
  const auto arguments = project_arguments(verb);
  add_discard(verb, *arguments);
  arguments->sure.add_to(verb);
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    ChangeText change("project.delete");
    if (arguments->discard_pending) change.json("discard_pending", "true");
    if (arguments->sure.ask(session, "Delete the project " + arguments->project + ", with all runs and models in it"))
      hand_in(session, arguments->how, std::move(change), arguments->project);
  });
}

void add_storage_limit(Verb& parent, Session& session) {
  auto verb = parent.add("storage-limit", "Limit a project's storage, or lift its limit");
  const auto arguments = project_arguments(verb);
  verb.optional("--bytes SIZE", arguments->bytes, "The limit, as in 5000000000, 5GB or 5GiB");
  verb.flag("--none", arguments->no_limit, "Lift the limit");
  finish(verb, session, arguments, [arguments] {
    if (arguments->bytes.has_value() == arguments->no_limit)
      wrong_usage("--bytes", "Say either the limit, as in --bytes 5GiB, or --none, which lifts it.");
    ChangeText change("project.set_storage_limit");
    if (arguments->no_limit) return change.json("bytes", "null");
    const auto bytes = parse_size(*arguments->bytes);
    if (!bytes)
      wrong_usage("--bytes", "'" + *arguments->bytes +
                                 "' is no size; write a whole number and B, KiB, MiB, GiB or TiB (or kB, MB, GB, TB).");
    return change.json("bytes", std::to_string(*bytes));
  });
}

void add_metadata(Verb& parent, Session& session) {
  auto verb = parent.add("metadata", "Change the metadata of a project itself");
  const auto arguments = std::make_shared<Arguments>();
  arguments->attributes.add_to(verb);
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    Project project{.name = arguments->project};
    auto& values = arguments->attributes.values;
    // All words behind the verb come as values; the project may be the first of them.
    if (!values.empty() && !values.front().contains('=') && values.front().contains('/')) {
      project.argument = values.front();
      values.erase(values.begin());
    }
    ChangeText change("project.metadata");
    arguments->attributes.put_into(change);
    hand_in(session, arguments->how, std::move(change), project.named());
  });
}

void add_list(Verb& parent, Session& session) {
  auto verb = parent.add("list", "The projects of a workspace on the server, or those the daemon has seen changes of");
  const auto workspace = std::make_shared<std::optional<std::string>>();
  verb.optional("WORKSPACE", *workspace, "Ask the server for all projects of this workspace");
  verb.action([&session, workspace] {
    if (*workspace) {
      const auto text = [&session](const api::ServerProjectList& list) { return view(list, session.style); };
      show(session, session.client().server_projects(**workspace), text);
      return;
    }
    const auto text = [&session](const api::WorkspaceList& list) { return view(list, session.style); };
    show(session, session.client().workspaces(), text);
  });
}

}  // namespace

void add_project_verbs(Verb& top, Session& session) {
  auto project = top.add("project", "Create, change and remove projects and their members");
  add_create(project, session);
  add_update(project, session);
  add_archive(project, session, true);
  add_archive(project, session, false);
  add_delete(project, session);
  add_list(project, session);
  add_storage_limit(project, session);
  add_metadata(project, session);
  add_members(project, session);
}

}  // namespace neptune::cli
