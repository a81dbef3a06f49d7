#include <cstdio>
#include <memory>

#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

struct Log {
  std::string run, project;
  std::vector<std::string> values, assign;
  std::optional<std::string> step, timestamp, preview;
  HandIn how;
};

ChangeText change_of(const Log& arguments) {
  ChangeText change("run.update");
  change.text("run", arguments.run).text("timestamp", arguments.timestamp);
  const auto step = step_json(arguments.step);
  auto assigned = arguments.assign;
  if (!step) assigned.insert(assigned.end(), arguments.values.begin(), arguments.values.end());
  if (step && arguments.values.empty()) wrong_usage("--step", "It is for NAME=VALUE; give at least one.");
  if (!step && assigned.empty()) wrong_usage("NAME=VALUE", "Say what to log, as in loss=0.3 --step 12.");
  if (!assigned.empty()) change.json("assign", or_wrong_usage("", assignments_json(assigned)));
  if (step) {
    change.json("step", *step);
    change.json("append", or_wrong_usage("", points_json(arguments.values)));
  }
  if (!arguments.preview) return change;
  const auto ratio = number_json(*arguments.preview);
  if (!ratio) wrong_usage("--preview", "'" + *arguments.preview + "' is no number from 0 to 1.");
  return change.json("preview", "{\"completion_ratio\":" + *ratio + "}");
}

void note(const std::string& text) {
  std::fputs(message(text).c_str(), stderr);
}

/// What is taken as it stands and may have been meant otherwise. It is logged all the same.
void tell_doubts(const Log& arguments) {
  for (const auto& text : arguments.values) {
    const auto named = split_assignment(text);
    if (!named) continue;
    const std::string name(named->name);
    if (!arguments.step && name == "step" && arguments.values.size() > 1)
      note("step is set as a value of that name, and no point is logged; `--step " + std::string(named->value) +
           "` logs points at that step.");
    if (arguments.step && is_bare_text(named->value))
      note(name + ": '" + std::string(named->value) + "' is logged as a text, and makes it a series of texts; in " +
           "double quotes, as in " + name + "='\"" + std::string(named->value) + "\"', it is without this note.");
  }
}

void add_log(Verb& parent, Session& session) {
  auto verb = parent.add("log", "Log values to a run: loss=0.3 acc=0.9 --step 12 adds points, lr=0.1 sets a value");
  const auto arguments = std::make_shared<Log>();
  verb.required("RUN", arguments->run, "The run's id");
  verb.several("NAME=VALUE", arguments->values, "With --step, points of series; else values that are set");
  verb.optional("--step NUMBER", arguments->step, "The points' step");
  verb.several("--assign NAME=VALUE", arguments->assign, "A value that is set, --step or not");
  verb.optional("--timestamp TIME", arguments->timestamp, "When it was, as in 2026-01-31T12:00:00Z; now by default");
  verb.optional("--preview NUMBER", arguments->preview,
                "The points are not final: how much of what they tell of is done, from 0 to 1");
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments] {
    auto change = change_of(*arguments);
    tell_doubts(*arguments);
    hand_in(session, arguments->how, std::move(change), arguments->project, arguments->run);
  });
}

struct Tag {
  std::string run, project;
  std::vector<std::string> tags;
  std::optional<std::string> path;
  HandIn how;
};

void add_tag(Verb& parent, Session& session, const std::string& name, const std::string& description,
             const std::string& does) {
  auto verb = parent.add(name, description);
  const auto arguments = std::make_shared<Tag>();
  verb.required("RUN", arguments->run, "The run's id");
  verb.at_least_one("TAG", arguments->tags, "One tag or more");
  verb.optional("--path NAME", arguments->path, "The set of strings they are in; sys/tags by default");
  add_project(verb, arguments->project);
  arguments->how.add_to(verb);
  verb.action([&session, arguments, does] {
    ChangeText change("run.update");
    change.text("run", arguments->run);
    const auto path = texts_json({arguments->path.value_or("sys/tags")});
    change.json("tags",
                "{" + path.substr(1, path.size() - 2) + ":{\"" + does + "\":" + texts_json(arguments->tags) + "}}");
    hand_in(session, arguments->how, std::move(change), arguments->project, arguments->run);
  });
}

}  // namespace

void add_run_log(Verb& run, Session& session) {
  add_log(run, session);
  add_tag(run, session, "tag", "Add tags to a run", "add");
  add_tag(run, session, "untag", "Take tags off a run", "remove");
}

}  // namespace neptune::cli
