// Projects: made, changed, deleted, and their storage limits.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/object.hpp>

#include "server/impl/containers.h"
#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/management.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::string_view projects_path = "/api/backend/v1/projects";

Query which(const ProjectName& project) {
  return {{"projectIdentifier", project.full()}};
}

JsonCall details_of(const ProjectName& project) {
  return reading("/api/backend/v1/projects/details", which(project));
}

/// In what a project that is there is not what was asked for, and the options of the command that changes it.
struct Differences {
  std::vector<std::string> found{};
  std::string options{};
};

void compare(Differences& out, const json::object& found, const char* member, std::string_view what,
             const std::optional<std::string>& wanted) {
  if (!wanted) return;
  const auto there = string_member(found, member);
  if (there != *wanted)
    out.found.push_back(fmt::format("its {} is '{}', not '{}'", what, excerpt(there, 100), excerpt(*wanted, 100)));
}

/// As people write it, and the command.
std::string visibility_in_words(std::string_view wire) {
  if (wire == word(Visibility::priv)) return "private";
  if (wire == word(Visibility::pub)) return "public";
  return excerpt(wire, 100);
}

void compare(Differences& out, const json::object& found, std::optional<Visibility> wanted) {
  if (!wanted) return;
  const auto there = string_member(found, "visibility");
  if (there == word(*wanted)) return;
  const auto words = visibility_in_words(word(*wanted));
  out.found.push_back(fmt::format("its visibility is {}, not {}", visibility_in_words(there), words));
  out.options += " --visibility " + words;
}

void compare_description(Differences& out, const json::object& found, const std::optional<std::string>& wanted) {
  const auto before = out.found.size();
  compare(out, found, "description", "description", wanted);
  if (out.found.size() > before) out.options += " --description ..";
}

/// A name as an argument of a shell's command.
std::string in_shell(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '/' || c == '-' ||
           c == '_' || c == '.';
  };
  if (std::ranges::all_of(name, plain)) return name;
  std::string out = "'";
  for (const char c : name) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

Differences differences(const json::object& found, const ProjectCreate& wanted) {
  Differences out;
  compare(out, found, "name", "name", wanted.project.project);
  compare(out, found, wanted.visibility);
  compare_description(out, found, wanted.description);
  compare(out, found, "projectKey", "key", wanted.key);
  if (true_member(found, "archived")) out.found.emplace_back("it is archived");
  return out;
}

Differences differences(const json::object& found, const ProjectUpdate& wanted) {
  Differences out;
  compare(out, found, wanted.visibility);
  compare_description(out, found, wanted.description);
  if (wanted.archived && *wanted.archived != true_member(found, "archived"))
    out.found.emplace_back(*wanted.archived ? "it is not archived" : "it is archived");
  return out;
}

/// That makes the project what was asked for, as far as one does.
std::string command_for(const ProjectCreate& change, const Differences& differs) {
  if (differs.options.empty()) return {};
  return fmt::format(" (`neptune-sync project update {}{}`)", in_shell(change.project.full()), differs.options);
}

/// Something of that name, or key, is there. Is it what was asked for, made by a try whose answer was lost?
asio::awaitable<Answer<ManageReply>> judge_existing(std::shared_ptr<Api> api, ProjectCreate change, Failure collision) {
  auto call = details_of(change.project);
  const auto found = co_await ask_object(api, std::move(call));
  if (!found) {
    // No project of that name: the key is another one's.
    const bool gone = co_await is_gone(std::move(api), change.project, found.error());
    co_return std::unexpected(gone ? std::move(collision) : found.error());
  }
  const auto differs = differences(*found, change);
  if (differs.found.empty()) co_return ManageReply{string_member(*found, "id"), {}};
  collision.message = fmt::format("project {} exists already, and is not what was asked for: {}; change it instead{}",
                                  change.project.full(), fmt::join(differs.found, ", "), command_for(change, differs));
  co_return std::unexpected(std::move(collision));
}

/// What removes a project, or something of it: no such project is what was wanted.
asio::awaitable<Answer<ManageReply>> removing(std::shared_ptr<Api> api, ProjectName project, JsonCall call) {
  const auto answer = co_await send(api, std::move(call));
  if (answer) co_return ManageReply{};
  const bool gone = co_await is_gone(std::move(api), std::move(project), answer.error());
  if (!gone) co_return std::unexpected(answer.error());
  co_return ManageReply{};
}

}  // namespace

std::string_view word(Visibility visibility) {
  switch (visibility) {
    case Visibility::priv:
      return "priv";
    case Visibility::workspace:
      return "workspace";
    case Visibility::pub:
      return "pub";
  }
  return "priv";
}

asio::awaitable<Answer<ManageReply>> carry_out(std::shared_ptr<Api> api, JsonCall call) {
  const auto answer = co_await send(std::move(api), std::move(call));
  if (!answer) co_return std::unexpected(answer.error());
  co_return ManageReply{};
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ProjectCreate change) {
  json::object body{{"organizationIdentifier", change.project.workspace}, {"name", change.project.project}};
  if (change.visibility) body["visibility"] = word(*change.visibility);
  if (change.description) body["description"] = *change.description;
  if (change.key) body["projectKey"] = *change.key;
  auto call = writing("POST", std::string(projects_path), {}, text_of(body));
  auto made = co_await ask_object(api, std::move(call));
  if (made) co_return ManageReply{string_member(*made, "id"), {}};
  if (!is_collision(made.error())) co_return std::unexpected(std::move(made.error()));
  co_return co_await judge_existing(std::move(api), std::move(change), std::move(made.error()));
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ProjectUpdate change) {
  json::object body;
  if (change.name) body["name"] = *change.name;
  if (change.visibility) body["visibility"] = word(*change.visibility);
  if (change.description) body["description"] = *change.description;
  if (change.archived) body["archived"] = *change.archived;
  auto call = writing("PUT", std::string(projects_path), which(change.project), text_of(body));
  auto answer = co_await send(api, std::move(call));
  if (change.name) forget_all(*api, change.project);
  if (answer) co_return ManageReply{};
  if (!change.name) co_return std::unexpected(std::move(answer.error()));
  const bool gone = co_await is_gone(api, change.project, answer.error());
  if (!gone) co_return std::unexpected(std::move(answer.error()));
  // Renamed by a try whose answer was lost?
  const ProjectName renamed{change.project.workspace, *change.name};
  auto look = details_of(renamed);
  const auto found = co_await ask_object(std::move(api), std::move(look));
  if (found && differences(*found, change).found.empty()) co_return ManageReply{};
  if (!found && !is_missing(found.error())) co_return std::unexpected(found.error());
  co_return std::unexpected(std::move(answer.error()));
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ProjectDelete change) {
  auto call = writing("DELETE", std::string(projects_path), which(change.project));
  auto done = co_await removing(api, change.project, std::move(call));
  forget_all(*api, change.project);
  co_return done;
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, StorageLimit change) {
  const std::string path = "/api/backend/v1/projects/storage-limit";
  if (!change.bytes) {
    auto call = writing("DELETE", path, which(change.project));
    co_return co_await removing(std::move(api), std::move(change.project), std::move(call));
  }
  const json::object body{{"maxStorageSize", *change.bytes}};
  auto call = writing("PUT", path, which(change.project), text_of(body));
  co_return co_await carry_out(std::move(api), std::move(call));
}

}  // namespace neptune::server
