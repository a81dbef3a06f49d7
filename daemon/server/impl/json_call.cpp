#include "server/impl/json_call.h"

#include <boost/json/serialize.hpp>

#include "server/impl/json.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::string target_of(const JsonCall& call) {
  auto target = call.path;
  char mark = '?';
  for (const auto& [name, value] : call.query) {
    target += mark;
    target += percent_encode(name) + "=" + percent_encode(value);
    mark = '&';
  }
  return target;
}

/// The request was carried out, as far as one can tell; only what came of it cannot be read.
Failure unreadable(const std::string& call, bool once) {
  auto failure = invalid_answer(call);
  failure.in_doubt = once;
  return failure;
}

}  // namespace

JsonCall reading(std::string path, Query query) {
  return {.method = "GET", .path = std::move(path), .query = std::move(query)};
}

JsonCall writing(std::string method, std::string path, Query query, std::string body) {
  return {.method = std::move(method),
          .path = std::move(path),
          .query = std::move(query),
          .body = std::move(body),
          .intent = Intent::write};
}

std::string text_of(const json::object& body) {
  return json::serialize(body);
}

asio::awaitable<Answer<Response>> send(std::shared_ptr<Api> api, JsonCall call) {
  Call out{.method = call.method,
           .target = target_of(call),
           .headers = {{"Accept", "application/json"}},
           .body = {},
           .intent = call.intent,
           .max_answer_bytes = call.max_answer_bytes,
           .once = call.once};
  if (!call.body.empty()) {
    out.headers.push_back({"Content-Type", "application/json"});
    out.body = body_of(std::move(call.body));
  }
  if (call.intent == Intent::write) out.body.may_begin = api->may_begin;
  co_return co_await Session::call(api->session, std::move(out));
}

namespace {

template <class T>
asio::awaitable<Answer<T>> ask(std::shared_ptr<Api> api, JsonCall call, std::optional<T> (*parse)(std::string_view)) {
  const auto what = call.method + " " + call.path;
  const auto once = call.once;
  const auto response = co_await send(std::move(api), std::move(call));
  if (!response) co_return std::unexpected(response.error());
  auto answer = parse(response->body);
  if (!answer) co_return std::unexpected(unreadable(what, once));
  co_return std::move(*answer);
}

}  // namespace

asio::awaitable<Answer<json::object>> ask_object(std::shared_ptr<Api> api, JsonCall call) {
  return ask<json::object>(std::move(api), std::move(call), &parse_object);
}

asio::awaitable<Answer<json::array>> ask_array(std::shared_ptr<Api> api, JsonCall call) {
  return ask<json::array>(std::move(api), std::move(call), &parse_array);
}

bool is_missing(const Failure& failure) {
  return failure.status == 404 && (failure.code.ends_with("_NOT_FOUND") || failure.code.ends_with("_NOT_IN_PROJECT"));
}

bool is_collision(const Failure& failure) {
  return failure.kind == Failure::Kind::rejected &&
         (failure.status == 409 || failure.code.ends_with("_COLLISION") || failure.code.ends_with("_ALREADY_EXISTS"));
}

Failure refusal(std::string code, std::string message) {
  return {Failure::Kind::rejected, std::move(code), std::move(message), std::nullopt};
}

}  // namespace neptune::server
