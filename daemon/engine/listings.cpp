// What people ask of the server through the daemon.
#include <fmt/format.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

Error as_error(const Failure& failure) {
  using Kind = Failure::Kind;
  const bool passing = failure.kind == Kind::unreachable || failure.kind == Kind::busy ||
                       failure.kind == Kind::server_error || failure.kind == Kind::token_rejected;
  return {failure.status == 404 ? "not_found" : failure.code, failure.message, passing};
}

/// The words people use, where the server's is another.
std::string visibility_word(const std::string& word) {
  if (word == "priv") return "private";
  return word == "pub" ? "public" : word;
}

std::string role_word(const std::string& word) {
  if (word == "member") return "contributor";
  return word == "manager" ? "owner" : word;
}

/// Less than a client waits for us: that the server is silent is told, and not taken for the daemon's silence.
constexpr std::chrono::seconds patience{8};

template <class T>
asio::awaitable<Answer<T>> in_time(std::shared_ptr<server::Server> server, asio::awaitable<Answer<T>> question) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer timer(co_await asio::this_coro::executor, patience);
  auto first = co_await (outcome(std::move(question)) || timer.async_wait(asio::use_awaitable));
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  co_return std::unexpected(
      Failure{Failure::Kind::unreachable, "timed_out",
              fmt::format("{} has not answered for {} s; ask again later", server->url(), patience.count()),
              std::nullopt, false});
}

}  // namespace

asio::awaitable<Result<api::ServerProjectList>> Engine::server_projects(std::string workspace) {
  const auto id = server_of(workspace);
  const auto server = servers_.at(id).slot.server;
  if (!server) co_return std::unexpected(servers_.at(id).slot.problem);
  const auto projects = co_await in_time(server, server->projects(std::move(workspace)));
  if (!projects) co_return std::unexpected(as_error(projects.error()));
  api::ServerProjectList list;
  for (const auto& project : *projects)
    list.projects.push_back(
        {project.name.full(), visibility_word(project.visibility), project.archived, project.key, project.description});
  co_return list;
}

asio::awaitable<Result<api::MemberList>> Engine::members(ProjectName project) {
  const auto id = server_of(project.workspace);
  const auto server = servers_.at(id).slot.server;
  if (!server) co_return std::unexpected(servers_.at(id).slot.problem);
  const auto members = co_await in_time(server, server->members(std::move(project)));
  if (!members) co_return std::unexpected(as_error(members.error()));
  api::MemberList list;
  for (const auto& member : *members)
    list.members.push_back({member.name, role_word(member.role), member.service_account});
  co_return list;
}

}  // namespace neptune::engine
