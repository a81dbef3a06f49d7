#include <algorithm>
#include <memory>

#include "client/cli/attributes.h"
#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::string model, project;
  std::optional<std::string> name;
  Attributes attributes;
  HandIn how;
};

/// A version ends in its number: FOREST-3. No model does: its key has a letter in it.
bool is_version(const std::string& name) {
  const auto dash = name.rfind('-');
  return dash != std::string::npos && dash + 1 < name.size() &&
         name.find_first_not_of("0123456789", dash + 1) == std::string::npos;
}

void finish(Verb& verb, Session& session, const std::shared_ptr<Arguments>& arguments,
            std::function<ChangeText()> change) {
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments, change = std::move(change)] {
    hand_in(session, arguments->how, change(), arguments->project);
  });
}

void add_create(Verb& parent, Session& session) {
  auto verb = parent.add("create", "Create a model");
  const auto arguments = std::make_shared<Arguments>();
  verb.required("KEY", arguments->model, "Its key, of your choice: letters A to Z and digits");
  verb.optional("--name NAME", arguments->name, "A name for people");
  finish(verb, session, arguments, [arguments] {
    ChangeText change("model.create");
    return change.text("key", arguments->model).text("name", arguments->name);
  });
}

void add_version(Verb& parent, Session& session) {
  auto verb = parent.add("version", "Create a version of a model");
  const auto arguments = std::make_shared<Arguments>();
  verb.required("MODEL", arguments->model, "Its key, or its id as in LAB-FOREST");
  finish(verb, session, arguments,
         [arguments] { return ChangeText("model_version.create").text("model", arguments->model); });
}

void add_update(Verb& parent, Session& session) {
  auto verb = parent.add("update", "Change the metadata of a model, or of a version as in FOREST-3");
  const auto arguments = std::make_shared<Arguments>();
  verb.required("MODEL", arguments->model, "A model, or a version of one as in FOREST-3");
  arguments->attributes.add_to(verb);
  finish(verb, session, arguments, [arguments] {
    const bool version = is_version(arguments->model);
    ChangeText change(version ? "model_version.update" : "model.update");
    change.text(version ? "model_version" : "model", arguments->model);
    arguments->attributes.put_into(change);
    return change;
  });
}

}  // namespace

void add_model_verbs(Verb& top, Session& session) {
  auto model = top.add("model", "Create models and versions of them, and change their metadata");
  add_create(model, session);
  add_version(model, session);
  add_update(model, session);
}

}  // namespace neptune::cli
