#include "tests/integration/all_kinds.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>

#include <utility>

namespace neptune::testing {

namespace json = boost::json;

const json::value* look(const json::value& state, std::initializer_list<std::string_view> path) {
  const auto* at = &state;
  for (const auto key : path) {
    at = at->is_object() ? at->get_object().if_contains(key) : nullptr;
    if (!at) return nullptr;
  }
  return at;
}

bool text_at(const json::value& state, std::initializer_list<std::string_view> path, std::string_view text) {
  const auto* value = look(state, path);
  return value && value->is_string() && value->get_string() == text;
}

std::string values_at(const json::value& state, std::initializer_list<std::string_view> path) {
  std::string text;
  if (const auto* series = look(state, path))
    for (const auto& point : series->as_array())
      text += fmt::format("{}{}", text.empty() ? "" : " ", point.at(1).to_number<double>());
  return text;
}

namespace {

std::size_t size_at(const json::value& state, std::initializer_list<std::string_view> path) {
  const auto* list = look(state, path);
  return list && list->is_array() ? list->get_array().size() : 0;
}

std::string written_at(const json::value& state, std::initializer_list<std::string_view> path) {
  const auto* value = look(state, path);
  return value ? json::serialize(*value) : "";
}

/// Where a run stands among the containers: trashed, archived; null: it does not exist.
const json::value* run_at(const json::value& state, const std::string& run) {
  for (const auto& [name, about] : state.at("containers").as_object())
    if (text_at(about, {"run"}, run)) return &about;
  return nullptr;
}

bool run_is(const json::value& state, const std::string& run, std::string_view what, bool wanted = true) {
  const auto* about = run_at(state, run);
  return about && about->at(what).as_bool() == wanted;
}

}  // namespace

AllKinds::AllKinds(int number)
    : n_(number),
      project_(fmt::format("ml-team/lab-{}", n_)),
      passing_(fmt::format("ml-team/gone-{}", n_)),
      anew_(fmt::format("ml-team/anew-{}", n_)) {
  projects();
  people();
  runs();
  made_anew();
  models();
}

std::string AllKinds::misses(const json::value& state) const {
  for (const auto& change : changes)
    if (change.seen && !change.seen(state)) return "missing: " + change.text;
  const auto wrong = [&](const char* what) { return fmt::format("{}: {}", project_, what); };
  if (look(state, {"projects", passing_})) return wrong("the other project was not deleted");
  if (look(state, {"projects", project_, "members", "bob"})) return wrong("bob was not removed");
  if (look(state, {"projects", project_, "service_accounts"})->as_object().size() != 1) return wrong("accounts");
  if (run_at(state, project_ + "/r4")) return wrong("r4 was not deleted");
  if (!run_is(state, project_ + "/r3", "trashed", false)) return wrong("r3 was not restored");
  if (!run_is(state, project_ + "/r6", "archived", false)) return wrong("r6 was not unarchived");
  if (values_at(state, {"runs", project_ + "/r1", "series", "loss"}) != "1 2 3 4") return wrong("the run's points");
  if (written_at(state, {"runs", project_ + "/r1", "attrs", "params/depth"}) != "3") return wrong("the run's number");
  if (!text_at(state, {"runs", project_ + "/r1", "attrs", "params/of"}, "oak")) return wrong("the run's text");
  if (written_at(state, {"runs", project_ + "/r1", "sets", "sys/tags"}) != R"(["tall"])")
    return wrong("the run's tags");
  if (values_at(state, {"runs", project_ + "/r1", "series", "guess"}) != "2") return wrong("the run's preview");
  if (written_at(state, {"runs", project_ + "/r1", "series", "said"}).find("so") == std::string::npos)
    return wrong("the run's texts");
  if (const auto* whole = look(state, {"runs", project_ + "/r1", "attrs", "whole"}); !whole || !whole->is_double())
    return wrong("the run's float");
  if (written_at(state, {"runs", project_ + "/r1", "attrs", "on"}).find("2026-01-02T03:04:05") == std::string::npos)
    return wrong("the run's time");
  if (written_at(state, {"runs", project_ + "/r1", "sets", "in"}) != R"(["a","b"])") return wrong("the run's set");
  if (!text_at(state, {"containers", model(), "attrs", "sys/name"}, "Oak")) return wrong("the model's name");
  if (!text_at(state, {"runs", project_ + "/r7", "experiment"}, "second")) return wrong("the fork's experiment");
  if (values_at(state, {"containers", model(), "series", "auc"}) != "1 2 3") return wrong("the model's points");
  if (values_at(state, {"containers", metadata(), "series", "score"}) != "1 2 3") return wrong("the project's points");
  for (const auto& container : {model(), metadata()})
    if (auto misses = misses_of_attributes(state, container); !misses.empty()) return misses;
  return {};
}

std::string AllKinds::model() const {
  return fmt::format("{0}/P{1}-M", project_, n_);
}
std::string AllKinds::metadata() const {
  return fmt::format("{0}/P{1}", project_, n_);
}

void AllKinds::add(const std::string& kind, const std::string& project, const std::string& rest, Seen seen) {
  changes.push_back({fmt::format(R"("kind": "{}", "project": "{}"{}{})", kind, project, rest.empty() ? "" : ", ", rest),
                     std::move(seen)});
}
void AllKinds::run(const std::string& act, const std::string& project, const std::string& run, Seen seen) {
  if (act == "create") return add("run.create", project, fmt::format(R"("run": "{}")", run), std::move(seen));
  add("run." + act, project, fmt::format(R"("runs": ["{}"])", run), std::move(seen));
}

void AllKinds::projects() {
  const auto there = [](const std::string& project) {
    return [project](const json::value& state) { return look(state, {"projects", project}) != nullptr; };
  };
  add("project.create", project_, fmt::format(R"("key": "P{}", "visibility": "private")", n_), there(project_));
  add("project.create", passing_, fmt::format(R"("key": "X{}")", n_));
  add("project.update", project_, R"("description": "told")",
      [p = project_](const json::value& state) { return text_at(state, {"projects", p, "description"}, "told"); });
  add("project.update", project_, R"("visibility": "public")",
      [p = project_](const json::value& state) { return text_at(state, {"projects", p, "visibility"}, "pub"); });
  add("project.set_storage_limit", passing_, R"("bytes": null)");
  for (const char* archived : {"true", "false"})
    add("project.update", passing_, fmt::format(R"("archived": {})", archived));
  add("project.set_storage_limit", project_, R"("bytes": 1000000000)", [p = project_](const json::value& state) {
    const auto* limit = look(state, {"projects", p, "storage_limit"});
    return limit && limit->is_number();
  });
}

void AllKinds::people() {
  const auto role = [p = project_](const char* word) {
    return [p, word](const json::value& state) { return text_at(state, {"projects", p, "members", "ann"}, word); };
  };
  const auto account = [p = project_](bool updated) {
    return [p, updated](const json::value& state) {
      const auto* accounts = look(state, {"projects", p, "service_accounts"});
      if (!accounts) return false;
      for (const auto& [id, is] : accounts->as_object())
        if (!updated || is.as_string() == "member") return true;
      return false;
    };
  };
  add("member.add", project_, R"("user": "ann", "role": "viewer")");
  add("member.update", project_, R"("user": "ann", "role": "owner")", role("manager"));
  add("member.add", project_, R"("user": "bob", "role": "viewer")");
  add("member.remove", project_, R"("user": "bob")");
  add("service_account.add", project_, R"("account": "ci", "role": "viewer")", account(false));
  add("service_account.update", project_, R"("account": "ci", "role": "contributor")", account(true));
  add("service_account.add", project_, R"("account": "tmp", "role": "viewer")");
  add("service_account.remove", project_, R"("account": "tmp")");
  const auto invited = [](const std::string& who, bool to_all) {
    return [who, to_all](const json::value& state) {
      int found = 0;
      for (const auto& each : look(state, {"workspaces", "ml-team", "invitations"})->as_array())
        if (each.at("invitee").as_string() == who) found += each.at("add_to_all_projects").as_bool() == to_all ? 1 : 2;
      return found == 1;
    };
  };
  const auto invite = [&](const char* by, const std::string& who, const char* more) {
    changes.push_back(
        {fmt::format(R"("kind": "workspace.invite", "workspace": "ml-team", "{}": "{}", "role": "member"{})", by, who,
                     more),
         invited(who, *more != '\0')});
  };
  invite("user", fmt::format("guest{}", n_), "");
  invite("email", fmt::format("guest{}@example.org", n_), R"(, "add_to_all_projects": true)");
}

void AllKinds::runs() {
  run("create", project_, "r1",
      [r = project_ + "/r1"](const json::value& state) { return run_at(state, r) != nullptr; });
  for (std::size_t i = 1; i <= 4; ++i)
    add("run.update", project_, fmt::format(R"("run": "r1", "step": {0}, "append": {{"loss": {0}}})", i),
        [i, r = project_ + "/r1"](const json::value& state) {
          return size_at(state, {"runs", r, "series", "loss"}) >= i;
        });
  add("run.update", project_,
      R"("run": "r1", "timestamp": "2026-01-02T03:04:05Z", "assign": {"params": {"depth": 3, "of": "oak"}, )"
      R"("whole": {"type": "float", "value": 4}, "on": {"type": "datetime", "value": "2026-01-02T03:04:05Z"}, )"
      R"("in": {"type": "string_set", "value": ["a", "b"]}}, "tags": {"sys/tags": {"add": ["young", "tall"]}})");
  add("run.update", project_, R"("run": "r1", "tags": {"sys/tags": {"remove": ["young"]}})");
  add("run.update", project_,
      R"("run": "r1", "step": 5, "append": {"guess": 1, "said": "so", )"
      R"("bins": {"type": "histogram", "value": {"bin_edges": [0, 1, 2], "counts": [3, 4]}}}, "preview": true)");
  add("run.update", project_, R"("run": "r1", "step": 5.5, "append": {"guess": 2})");
  add("run.update", project_,
      R"("run": "r1", "step": 6, "append": {"bins": {"type": "histogram", "value": )"
      R"({"bin_edges": [0, 1, 2], "densities": [0.5, 0.5]}}}, "preview": {"completion_ratio": 0.5})",
      [r = project_ + "/r1"](const json::value& state) { return size_at(state, {"runs", r, "series", "bins"}) == 2; });
  add("run.create", project_, R"("run": "r7", "experiment": "second", "fork": {"run": "r1", "step": 2})",
      [r = project_ + "/r7"](const json::value& state) { return text_at(state, {"runs", r, "parent"}, "r1"); });
  const auto is = [](const std::string& run, const char* what) {
    return [run, what](const json::value& state) { return run_is(state, run, what); };
  };
  run("create", project_, "r2");
  run("trash", project_, "r2", is(project_ + "/r2", "trashed"));
  for (const char* act : {"create", "trash", "restore"}) run(act, project_, "r3");
  for (const char* act : {"create", "trash", "delete"}) run(act, project_, "r4");
  run("create", project_, "r5");
  run("archive", project_, "r5", is(project_ + "/r5", "archived"));
  for (const char* act : {"create", "archive", "unarchive"}) run(act, project_, "r6");
  for (const char* act : {"create", "trash"}) run(act, passing_, "t1");
  add("trash.empty", passing_, "");
  add("project.delete", passing_, "");
}

/// What is handed in before a project is deleted is for that one, and what comes after it is created again for the new.
void AllKinds::made_anew() {
  const auto is_second = [metadata = fmt::format("{}/A{}", anew_, n_), run = anew_ + "/r"](const json::value& state) {
    return !look(state, {"containers", metadata, "attrs", "of_first"}) &&
           written_at(state, {"containers", metadata, "attrs", "of_second"}) == "1" &&
           values_at(state, {"runs", run, "series", "of_second"}) == "1";
  };
  for (const std::string of : {"first", "second"}) {
    if (of == "second") add("project.delete", anew_, "");
    add("project.create", anew_, fmt::format(R"("key": "A{}")", n_));
    run("create", anew_, "r");
    add("run.update", anew_, fmt::format(R"("run": "r", "step": 1, "append": {{"of_{}": 1}})", of));
    add("project.metadata", anew_, fmt::format(R"("assign": {{"of_{}": 1}})", of), of == "second" ? is_second : Seen());
  }
}

void AllKinds::models() {
  const auto points = [](const std::string& container, const char* series, std::size_t i) {
    return [container, series, i](const json::value& state) {
      return size_at(state, {"containers", container, "series", series}) >= i;
    };
  };
  add("model.create", project_, R"("key": "M", "name": "Oak")",
      [m = model()](const json::value& state) { return look(state, {"containers", m}) != nullptr; });
  for (std::size_t i = 1; i <= 3; ++i)
    add("model.update", project_, fmt::format(R"("model": "M", "append": {{"auc": {}}})", i),
        points(model(), "auc", i));
  add("model_version.create", "ml-team/base", R"("model": "V")");
  add("model_version.update", "ml-team/base", fmt::format(R"("model_version": "BASE-V-1", "append": {{"s": {}}})", n_),
      [n = n_](const json::value& state) {
        const auto* series = look(state, {"containers", base_version, "series", "s"});
        if (!series) return false;
        for (const auto& point : series->as_array())
          if (point.at(1).to_number<double>() == n) return true;
        return false;
      });
  for (std::size_t i = 1; i <= 3; ++i)
    add("project.metadata", project_, fmt::format(R"("append": {{"score": {}}})", i), points(metadata(), "score", i));
  attributes("model.update", R"("model": "M", )", model());
  attributes("project.metadata", "", metadata());
}

/// Each way in which an attribute can be changed but points, which the others have.
void AllKinds::attributes(const std::string& kind, const std::string& which, const std::string& container) {
  const auto change = [&](const std::string& sections, Seen seen = {}) {
    add(kind, project_, which + sections, std::move(seen));
  };
  change(R"("assign": {"size": 1, "gone": 1, "name": "a"}, "insert": {"tags": ["a", "b"]}, )"
         R"("append": {"emptied": 1, "renewed": 1, "replaced": "a"})");
  change(
      R"("assign": {"size": 2}, "remove": {"tags": ["a"]}, "delete": ["gone", "replaced"], )"
      R"("clear": {"emptied": "float_series", "renewed": "float_series"}, "append": {"renewed": [2, 3], "replaced": 4})",
      [container](const json::value& state) {
        const auto* size = look(state, {"containers", container, "attrs", "size"});
        return size && size->is_int64() && size->as_int64() == 2;
      });
  change(R"("configure": {"auc": {"min": 0, "max": 1, "unit": "share"}})", [container](const json::value& state) {
    return text_at(state, {"containers", container, "series_configs", "auc", "unit"}, "share");
  });
  change(R"("configure": {"ranged": {"min": 0, "unit": "share"}}, "append": {"ranged": [1, 2]})",
         [container](const json::value& state) {
           return text_at(state, {"containers", container, "series_configs", "ranged", "unit"}, "share");
         });
}

std::string AllKinds::misses_of_attributes(const json::value& state, const std::string& container) const {
  const auto wrong = [&container](const char* what) { return fmt::format("{}: {}", container, what); };
  if (look(state, {"containers", container, "attrs", "gone"})) return wrong("an attribute was not deleted");
  if (!text_at(state, {"containers", container, "attrs", "name"}, "a")) return wrong("the text");
  if (size_at(state, {"containers", container, "series", "emptied"}) != 0) return wrong("a series was not emptied");
  const auto series = [&](const char* name) { return values_at(state, {"containers", container, "series", name}); };
  if (series("renewed") != "2 3") return wrong("a series that was emptied and filled again");
  if (series("replaced") != "4") return wrong("a series in the place of a deleted one");
  if (series("ranged") != "1 2") return wrong("a series that got its range with its points");
  if (written_at(state, {"containers", container, "sets", "tags"}) != R"(["b"])") return wrong("the tags");
  return {};
}

}  // namespace neptune::testing
