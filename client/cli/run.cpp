#include <algorithm>
#include <filesystem>
#include <memory>

#include "client/cli/hand_in.h"
#include "client/cli/values.h"
#include "support/utf8.h"

namespace neptune::cli {

namespace {

struct Create {
  std::string run, project;
  std::optional<std::string> experiment, fork_run, fork_step, created_at;
  HandIn how;
};

ChangeText change_of(const Create& arguments) {
  ChangeText change("run.create");
  change.text("run", arguments.run).text("experiment", arguments.experiment);
  change.text("created_at", arguments.created_at);
  if (arguments.fork_run.has_value() != arguments.fork_step.has_value())
    wrong_usage("--fork-run", "A fork needs both --fork-run and --fork-step.");
  if (!arguments.fork_run) return change;
  std::string fork = "{\"run\":" + texts_json({*arguments.fork_run}).substr(1);
  fork.pop_back();
  return change.json("fork", fork + ",\"step\":" + *step_json(arguments.fork_step, "--fork-step") + "}");
}

void add_create(Verb& parent, Session& session) {
  auto verb = parent.add("create", "Create a run");
  const auto arguments = std::make_shared<Create>();
  verb.required("RUN", arguments->run, "The run's id, of your choice");
  verb.optional("--experiment NAME", arguments->experiment, "The experiment it belongs to");
  verb.optional("--fork-run RUN", arguments->fork_run, "The run it is forked from");
  verb.optional("--fork-step NUMBER", arguments->fork_step, "At which step of that run");
  verb.optional("--created-at TIME", arguments->created_at,
                "When it began, as in 2026-01-31T12:00:00Z; now by default");
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    hand_in(session, arguments->how, change_of(*arguments), arguments->project, arguments->run);
  });
}

struct Upload {
  std::string run, attribute, file, project;
  std::optional<std::string> mime_type;
  bool copy = false;
  HandIn how;
};

void add_upload(Verb& parent, Session& session) {
  auto verb = parent.add("upload", "Upload a file, and assign it to an attribute once it is there");
  const auto arguments = std::make_shared<Upload>();
  verb.required("RUN", arguments->run, "The run's id");
  verb.required("ATTRIBUTE", arguments->attribute, "The attribute it becomes, as in models/best");
  verb.required("FILE", arguments->file, "The file; it must stay as it is until it is uploaded, or be copied");
  verb.flag("--copy", arguments->copy, "Copy it into the daemon's state directory first");
  verb.optional("--mime-type TYPE", arguments->mime_type, "Its type, as in image/png; told from its name by default");
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    if (!is_utf8(absolute_file(arguments->file)))
      wrong_usage("FILE", "The file's path is not UTF-8, as what the daemon is told must be; rename or link it.");
    ChangeText change("run.upload");
    change.text("run", arguments->run).text("attribute", arguments->attribute);
    change.text("file", absolute_file(arguments->file));
    change.text("mime_type", arguments->mime_type);
    if (arguments->copy) {
      change.json("copy", "true");
      std::error_code none_there;  // which the daemon says better
      const auto size = std::filesystem::file_size(arguments->file, none_there);
      if (!none_there) arguments->how.copies = size;
    }
    hand_in(session, arguments->how, std::move(change), arguments->project, arguments->run);
  });
}

struct Many {
  std::vector<std::string> runs;
  std::string project;
  bool discard_pending = false;
  Sure sure;
  HandIn how;
};

/// "the runs r1, r2 and 5 more of ml-team/lab"
std::string runs_of(const Many& arguments) {
  constexpr std::size_t few = 3;
  const auto& runs = arguments.runs;
  std::string text = runs.size() == 1 ? "the run" : "the runs";
  for (std::size_t i = 0; i < std::min(runs.size(), few); ++i) text += (i == 0 ? " " : ", ") + runs[i];
  if (runs.size() > few) text += " and " + std::to_string(runs.size() - few) + " more";
  return text + " of " + named_project(arguments.project);
}

void add_many(Verb& parent, Session& session, const std::string& name, const std::string& description, bool removes) {
  auto verb = parent.add(name, description);
  const auto arguments = std::make_shared<Many>();
  verb.at_least_one("RUN", arguments->runs, "The ids of one run or more");
  if (removes)
    verb.flag("--discard-pending", arguments->discard_pending,
              "Don't wait for held writes to them: record those as rejected");
  const bool for_good = name == "delete";
  if (for_good) arguments->sure.add_to(verb);
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments, for_good, kind = "run." + name] {
    if (for_good && !arguments->sure.ask(session, "Delete for good " + runs_of(*arguments))) return;
    ChangeText change(kind);
    change.texts("runs", arguments->runs);
    if (arguments->discard_pending) change.json("discard_pending", "true");
    hand_in(session, arguments->how, std::move(change), arguments->project);
  });
}

}  // namespace

void add_run_verbs(Verb& top, Session& session) {
  auto run = top.add("run", "Create runs, log to them, tag and remove them");
  add_create(run, session);
  add_run_log(run, session);
  add_upload(run, session);
  add_many(run, session, "trash", "Move runs to the trash", true);
  add_many(run, session, "restore", "Take runs out of the trash", false);
  add_many(run, session, "delete", "Delete runs for good, which must be in the trash", true);
  add_many(run, session, "archive", "Archive runs", true);
  add_many(run, session, "unarchive", "Take runs out of the archive", false);
}

}  // namespace neptune::cli
