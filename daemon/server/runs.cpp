// Runs moved into the trash and out of it, deleted, archived: many at once. The answers are 200 and name each that
// could not be done.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <span>

#include "server/impl/containers.h"
#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/management.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t runs_a_call = 200;
constexpr std::size_t most_named = 10;  // in a message
constexpr std::size_t longest_bulk_answer = 8u << 20;

struct ItemError {
  std::string item;  // a run as the user names it, else the server's identifier
  std::string reason;
};

/// A run as the server names it, and as the user does.
struct Named {
  std::string identifier;
  std::string run;
};

struct Resolved {
  std::vector<Named> runs;
  std::vector<std::string> missing;
};

struct Act {
  std::string_view path;
  std::string_view done;       // "trashed"
  std::string_view as_wanted;  // the reason that says it is so already; empty: none does
  bool takes_away;             // what is gone needs no more
};

Act act_of(RunsAct act) {
  switch (act) {
    case RunsAct::trash:
      return {"/api/leaderboard/v1/experiments/trash", "moved to the trash", "ALREADY_TRASHED", true};
    case RunsAct::restore:
      return {"/api/leaderboard/v1/experiments/trash/restore", "restored", "NOT_IN_TRASH", false};
    case RunsAct::remove:
      return {"/api/leaderboard/v1/experiments/trash/delete", "deleted", {}, true};
    case RunsAct::archive:
      return {"/api/leaderboard/v1/runs:archive", "archived", {}, false};
    case RunsAct::unarchive:
      return {"/api/leaderboard/v1/runs:unarchive", "unarchived", {}, false};
  }
  return {};
}

std::string explained(const std::string& reason) {
  if (reason == "NOT_EXISTS") return "it does not exist";
  if (reason == "NOT_IN_TRASH") return "it is not in the trash; move it there first";
  if (reason == "TRASHED") return "it is in the trash; restore it first";
  if (reason == "IS_PROJECT") return "it is no run";
  return reason;
}

Failure not_found_yet(const std::vector<std::string>& missing, const ProjectName& project) {
  return refusal(std::string(runs_not_found),
                 fmt::format("{} {} not found in {}", excerpt(missing.front(), 100),
                             missing.size() == 1 ? "is" : "and others are", project.full()));
}

Failure refused(std::string_view done, const std::vector<ItemError>& errors, std::size_t of) {
  std::string list;
  for (std::size_t i = 0; i < std::min(errors.size(), most_named); ++i)
    list += fmt::format("{}{} ({})", i == 0 ? "" : ", ", excerpt(errors[i].item, 100), explained(errors[i].reason));
  if (errors.size() > most_named) list += fmt::format(" and {} more", errors.size() - most_named);
  const auto which = of == 1 ? std::string("the run") : fmt::format("{} of {} runs", errors.size(), of);
  return refusal("runs_refused", fmt::format("{} could not be {}: {}", which, done, list));
}

/// The answer's errors but those whose reason is fine.
asio::awaitable<Answer<std::vector<ItemError>>> bulk(std::shared_ptr<Api> api, JsonCall call,
                                                     std::vector<std::string> fine) {
  call.max_answer_bytes = longest_bulk_answer;
  const auto answer = co_await ask_object(std::move(api), std::move(call));
  if (!answer) co_return std::unexpected(answer.error());
  std::vector<ItemError> errors;
  for (const auto* error : objects_member(*answer, "errors")) {
    auto reason = excerpt(string_member(*error, "reason"), 100);
    if (reason.empty()) reason = excerpt(string_member(*error, "message"), 200);
    if (std::ranges::find(fine, reason) == fine.end())
      errors.push_back({string_member(*error, "experimentIdentifier"), std::move(reason)});
  }
  co_return errors;
}

/// A custom id goes before a short id that looks the same. The trash is looked through last, or first where the runs
/// are expected there.
asio::awaitable<Answer<Resolved>> resolve(std::shared_ptr<Api> api, ProjectName project, std::vector<std::string> runs,
                                          bool trash_first) {
  std::map<std::string, std::string> short_ids;
  for (int pass = 0; pass < 2; ++pass) {
    const bool trashed = (pass == 0) == trash_first;
    std::vector<std::string> open;
    for (const auto& run : runs)
      if (!short_ids.contains(run)) open.push_back(run);
    for (std::size_t from = 0; from < open.size(); from += search_ids) {
      const auto begin = open.begin() + static_cast<std::ptrdiff_t>(from);
      std::vector<std::string> some(begin,
                                    begin + static_cast<std::ptrdiff_t>(std::min(search_ids, open.size() - from)));
      const auto found = co_await search_runs(api, project, std::move(some), trashed);
      if (!found) co_return std::unexpected(found.error());
      for (const auto& [run, ids] : *found) short_ids[run] = ids.short_id;
    }
  }
  Resolved out;
  for (auto& run : runs) {
    const auto found = short_ids.find(run);
    if (found != short_ids.end())
      out.runs.push_back({identifier_of(project, found->second), run});
    else if (looks_like_a_short_id(run))
      out.runs.push_back({identifier_of(project, run), run});
    else
      out.missing.push_back(std::move(run));
  }
  co_return out;
}

/// Nothing was done.
bool is_a_refusal(const Failure& failure) {
  using Kind = Failure::Kind;
  return failure.kind == Kind::rejected || failure.kind == Kind::forbidden || failure.kind == Kind::read_only ||
         failure.kind == Kind::ambiguous_limit || failure.kind == Kind::called_off ||
         failure.kind == Kind::token_rejected;
}

JsonCall call_of(const RunsChange& change, std::span<const Named> runs) {
  json::array identifiers;
  for (const auto& run : runs) identifiers.emplace_back(run.identifier);
  const std::string path(act_of(change.act).path);
  if (change.act == RunsAct::archive || change.act == RunsAct::unarchive) {
    const json::object body{{"runs", std::move(identifiers)}};
    return writing("POST", path, {}, text_of(body));
  }
  return writing("POST", path, {{"projectIdentifier", change.project.full()}}, json::serialize(identifiers));
}

void name_as_the_user_does(std::vector<ItemError>& errors, std::span<const Named> runs) {
  for (auto& error : errors) {
    const auto found = std::ranges::find(runs, error.item, &Named::identifier);
    if (found != runs.end()) error.item = found->run;
  }
}

}  // namespace

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, RunsChange change, Missing missing) {
  const auto act = act_of(change.act);
  const bool in_trash = change.act == RunsAct::restore || change.act == RunsAct::remove;
  const auto total = change.runs.size();
  auto resolved = co_await resolve(api, change.project, std::move(change.runs), in_trash);
  if (!resolved) co_return std::unexpected(std::move(resolved.error()));
  if (missing == Missing::not_yet && !resolved->missing.empty())
    co_return std::unexpected(not_found_yet(resolved->missing, change.project));
  const bool gone_is_fine = act.takes_away && missing == Missing::fine;
  std::vector<std::string> fine;
  if (!act.as_wanted.empty()) fine.emplace_back(act.as_wanted);
  if (gone_is_fine) fine.emplace_back("NOT_EXISTS");
  std::vector<ItemError> errors;
  if (!gone_is_fine)
    for (auto& run : resolved->missing) errors.push_back({std::move(run), "NOT_EXISTS"});
  const std::span<const Named> runs(resolved->runs);
  for (std::size_t from = 0; from < runs.size(); from += runs_a_call) {
    const auto some = runs.subspan(from, std::min(runs_a_call, runs.size() - from));
    auto call = call_of(change, some);
    call.once = act.takes_away;  // a second one would find nothing
    auto refused_ones = co_await bulk(api, std::move(call), fine);
    if (!refused_ones) {
      refused_ones.error().in_doubt = from > 0 || !is_a_refusal(refused_ones.error());
      co_return std::unexpected(std::move(refused_ones.error()));
    }
    name_as_the_user_does(*refused_ones, some);
    errors.insert(errors.end(), refused_ones->begin(), refused_ones->end());
  }
  if (change.act == RunsAct::remove) {
    for (const auto& run : runs) forget(*api, ContainerName{change.project, run.run, ContainerKind::run});
  }
  if (!errors.empty()) co_return std::unexpected(refused(act.done, errors, total));
  co_return ManageReply{};
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, TrashEmpty change) {
  auto call = writing("POST", "/api/leaderboard/v1/experiments/trash/deleteAll",
                      {{"projectIdentifier", change.project.full()}});
  std::vector<std::string> fine{"NOT_EXISTS", "NOT_IN_TRASH"};
  const auto errors = co_await bulk(std::move(api), std::move(call), std::move(fine));
  if (!errors) co_return std::unexpected(errors.error());
  if (!errors->empty()) co_return std::unexpected(refused("deleted", *errors, errors->size()));
  co_return ManageReply{};
}

}  // namespace neptune::server
