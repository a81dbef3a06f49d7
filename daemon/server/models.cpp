// Models, their versions, and runs of a server without ingestion: made. A model and a run have names of their own, by
// which a second try is recognised; a version has none.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "changes/limits.h"
#include "server/impl/attributes.h"
#include "server/impl/containers.h"
#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/management.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::string_view name_path = "sys/name";

JsonCall creation(const ProjectName& project, const std::string& parent, std::string_view type,
                  std::string_view own_member = {}, std::string_view own = {}) {
  json::object body{{"projectIdentifier", project.full()}, {"parentId", parent}, {"type", type}};
  if (!own_member.empty()) body[own_member] = own;
  return writing("POST", "/api/leaderboard/v1/experiments", {}, text_of(body));
}

Answer<ManageReply> read_created(const json::object& container) {
  ManageReply reply{string_member(container, "id"), string_member(container, "shortId")};
  if (reply.id.empty()) return std::unexpected(invalid_answer("the creation of a container"));
  return reply;
}

/// Creates in the project itself.
asio::awaitable<Answer<ManageReply>> create_in_project(std::shared_ptr<Api> api, ProjectName project,
                                                       std::string_view type, std::string_view own_member,
                                                       std::string own) {
  const ContainerName owner{project, {}, ContainerKind::project};
  for (;;) {
    const auto parent = co_await find_container(api, owner);
    if (!parent) co_return std::unexpected(parent.error());
    auto call = creation(project, parent->known.id, type, own_member, own);
    const auto made = co_await ask_object(api, std::move(call));
    if (made) co_return read_created(*made);
    if (!forget_stale(*api, owner, *parent, made.error())) co_return std::unexpected(made.error());
  }
}

ContainerName container_of(const ModelCreate& change) {
  return {change.project, change.key, ContainerKind::model};
}

asio::awaitable<Answer<ManageReply>> look_up_existing(std::shared_ptr<Api> api, ModelCreate change, Failure collision) {
  const auto project = co_await find_project(api, change.project);
  if (!project) co_return std::unexpected(project.error());
  const auto short_id = project->known.key + "-" + change.key;
  auto call = reading("/api/leaderboard/v1/experiments", {{"experimentId", identifier_of(change.project, short_id)}});
  const auto there = co_await ask_object(std::move(api), std::move(call));
  if (!there) {
    if (is_missing(there.error())) co_return std::unexpected(std::move(collision));
    co_return std::unexpected(there.error());
  }
  if (string_member(*there, "type") != "model" || true_member(*there, "trashed")) {
    collision.message =
        fmt::format("{} exists in project {} already, and {}; choose another key, or remove it", short_id,
                    change.project.full(), true_member(*there, "trashed") ? "is in the trash" : "is no model");
    co_return std::unexpected(std::move(collision));
  }
  co_return read_created(*there);
}

/// Naming twice does no harm, whatever the call it takes says of its kind.
asio::awaitable<Answer<void>> assign_name(std::shared_ptr<Api> api, ContainerName container, std::string name) {
  const json::object value{{"value", name}};
  std::vector<AttributeOperation> operations{{std::string(name_path), "assignString", text_of(value)}};
  const auto errors = co_await execute(std::move(api), container, std::move(operations));
  if (!errors) {
    auto failure = errors.error();
    failure.in_doubt = false;
    co_return std::unexpected(std::move(failure));
  }
  if (errors->empty()) co_return Answer<void>();
  co_return std::unexpected(
      refusal(errors->front().code, fmt::format("{} was created, but its name '{}' was refused: {}", container.label(),
                                                excerpt(name, 100), errors->front().message)));
}

/// Gives the model its name. `existed`: another name that it has already is not touched.
asio::awaitable<Answer<void>> name_model(std::shared_ptr<Api> api, ModelCreate change, bool existed) {
  const auto model = container_of(change);
  if (existed) {
    const auto there = co_await string_value(api, model, std::string(name_path));
    if (!there) co_return std::unexpected(there.error());
    if (*there == change.name) co_return Answer<void>();
    if (*there && !(*there)->empty())
      co_return std::unexpected(
          refusal("name_differs",
                  fmt::format("model {} exists in project {} already, and its name is '{}', not '{}'; change the "
                              "name instead",
                              change.key, change.project.full(), excerpt(**there, 100), excerpt(*change.name, 100))));
  }
  co_return co_await assign_name(std::move(api), model, *change.name);
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ModelCreate change) {
  auto reply = co_await create_in_project(api, change.project, "model", "key", change.key);
  const bool existed = !reply && is_collision(reply.error());
  if (existed) reply = co_await look_up_existing(api, change, reply.error());
  if (!reply) co_return reply;
  remember(*api, container_of(change), reply->id);
  if (change.name) {
    auto named = co_await name_model(std::move(api), std::move(change), existed);
    if (!named) co_return std::unexpected(std::move(named.error()));
  }
  co_return reply;
}

asio::awaitable<Answer<ManageReply>> perform(std::shared_ptr<Api> api, ModelVersionCreate change) {
  const ContainerName model{change.project, change.model, ContainerKind::model};
  // Looked up afresh: that also makes sure of a live connection for the request that must not be sent twice.
  forget(*api, model);
  const auto parent = co_await find_container(api, model);
  if (!parent) co_return std::unexpected(parent.error());
  auto call = creation(change.project, parent->known.id, "modelVersion");
  call.once = true;
  const auto made = co_await ask_object(std::move(api), std::move(call));
  if (!made) co_return std::unexpected(made.error());
  co_return read_created(*made);
}

asio::awaitable<Answer<ManageReply>> create_run(std::shared_ptr<Api> api, ContainerName run, std::string experiment) {
  if (characters(run.id) > limits::custom_id_characters)
    co_return std::unexpected(refusal(
        "run_id_too_long", fmt::format("run id '{}' has more than {} characters, which a server without ingestion "
                                       "does not take; choose a shorter one",
                                       excerpt(run.id, 100), limits::custom_id_characters)));
  auto reply = co_await create_in_project(api, run.project, "run", "customId", run.id);
  if (!reply) co_return reply;
  remember(*api, run, reply->id);
  if (!experiment.empty()) {
    auto named = co_await assign_name(std::move(api), std::move(run), std::move(experiment));
    if (!named) co_return std::unexpected(std::move(named.error()));
  }
  co_return reply;
}

}  // namespace neptune::server
