// Attributes of containers: operations applied, and what they came to.
#include "server/impl/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "changes/limits.h"
#include "server/impl/containers.h"
#include "server/impl/json.h"
#include "server/impl/json_call.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::size_t longest_errors_answer = 8u << 20;
constexpr std::string_view attributes_path = "/api/leaderboard/v1/attributes/";

/// The operations' bodies are JSON already.
std::string body_of_operations(const std::vector<AttributeOperation>& operations) {
  std::size_t size = 2;
  for (const auto& each : operations) size += each.path.size() + each.op.size() + each.body.size() + 32;
  std::string out;
  out.reserve(size);
  for (const auto& each : operations) {
    out += out.empty() ? "[{\"path\":" : ",{\"path\":";
    out += json::serialize(json::string(each.path));
    out += ",\"" + each.op + "\":";
    out += each.body;
    out += '}';
  }
  return out + "]";
}

Failure too_many(std::size_t count) {
  return {Failure::Kind::too_large, std::string(too_many_operations),
          fmt::format("{} operations were to be sent at once; send at most {}", count, limits::attribute_operations),
          std::nullopt};
}

/// To the sender it is the same whether a request has too many bytes or too many operations.
Failure as_too_large(Failure failure) {
  if (failure.code == too_many_operations && failure.kind == Failure::Kind::rejected)
    failure.kind = Failure::Kind::too_large;
  return failure;
}

Failure too_large(std::size_t bytes) {
  return {Failure::Kind::too_large, "request_too_large",
          fmt::format("the operations take {} bytes; a request may have {}", bytes, limits::request_bytes),
          std::nullopt};
}

std::vector<OperationError> read_errors(const json::array& answer) {
  std::vector<OperationError> errors;
  for (const auto* each : objects_in(answer))
    errors.push_back({std::nullopt, excerpt(string_member(*each, "errorType"), 100),
                      excerpt(string_member(*each, "errorDescription"))});
  return errors;
}

/// An attribute's properties as the server writes them; none: there is no such attribute. A 404 can also mean that the
/// container is gone, or has another id by now: it is looked up again before the 404 is believed. One that does not say
/// what is missing is believed when the container's attributes lack it.
asio::awaitable<Answer<std::optional<std::string>>> properties_text(std::shared_ptr<Api> api, Addressed container,
                                                                    std::string folder, std::string path, Query query) {
  query.insert(query.begin(), {"attribute", path});
  for (;;) {
    const auto found = co_await find_container(api, container);
    if (!found) co_return std::unexpected(found.error());
    auto call = reading(std::string(attributes_path) + folder, query);
    call.query.emplace_back("experimentId", found->known.id);
    call.max_answer_bytes = 2 * limits::string_bytes;
    auto answer = co_await send(api, std::move(call));
    if (answer) co_return std::optional<std::string>(std::move(answer->body));
    auto& failure = answer.error();
    if (failure.status != 404) co_return std::unexpected(std::move(failure));
    if (failure.code.starts_with("ATTRIBUTE_")) co_return std::optional<std::string>();
    if (forget_stale(*api, container, *found, failure)) continue;
    if (is_missing(failure)) co_return std::optional<std::string>();
    const auto there = co_await has_attribute(std::move(api), std::move(container), std::move(path));
    if (!there) co_return std::unexpected(there.error());
    if (*there) co_return std::unexpected(std::move(failure));
    co_return std::optional<std::string>();
  }
}

asio::awaitable<Answer<std::optional<json::object>>> properties(std::shared_ptr<Api> api, Addressed container,
                                                                std::string folder, std::string path,
                                                                Query query = {}) {
  const auto what = "GET " + std::string(attributes_path) + folder;
  auto text = co_await properties_text(std::move(api), std::move(container), std::move(folder), std::move(path),
                                       std::move(query));
  if (!text) co_return std::unexpected(std::move(text.error()));
  if (!*text) co_return std::optional<json::object>();
  auto object = parse_object(**text);
  if (!object) co_return std::unexpected(invalid_answer(what));
  co_return std::optional<json::object>(std::move(*object));
}

std::string folder_of(ClientCopy::Type type) {
  switch (type) {
    case ClientCopy::Type::number:
      return "floats";
    case ClientCopy::Type::whole_number:
      return "integers";
    case ClientCopy::Type::truth:
      return "booleans";
    case ClientCopy::Type::text:
      return "strings";
    case ClientCopy::Type::time:
      return "datetimes";
  }
  return "strings";
}

std::string folder_of(SeriesKind kind) {
  switch (kind) {
    case SeriesKind::floats:
      return "series/float";
    case SeriesKind::texts:
      return "series/string";
    case SeriesKind::images:
      return "series/image";
  }
  return "series/float";
}

}  // namespace

asio::awaitable<Answer<std::vector<OperationError>>> execute(std::shared_ptr<Api> api, Addressed container,
                                                             std::vector<AttributeOperation> operations) {
  if (operations.empty()) co_return std::vector<OperationError>();
  if (operations.size() > limits::attribute_operations) co_return std::unexpected(too_many(operations.size()));
  for (;;) {
    const auto found = co_await find_container(api, container);
    if (!found) co_return std::unexpected(found.error());
    auto call = writing("POST", std::string(attributes_path) + "operations", {{"experimentId", found->known.id}},
                        body_of_operations(operations));
    if (call.body.size() > limits::request_bytes) co_return std::unexpected(too_large(call.body.size()));
    call.once = true;
    call.max_answer_bytes = longest_errors_answer;
    const auto answer = co_await ask_array(api, std::move(call));
    if (answer) co_return blame(operations, read_errors(*answer));
    if (!forget_stale(*api, container, *found, answer.error())) co_return std::unexpected(as_too_large(answer.error()));
  }
}

asio::awaitable<Answer<std::optional<double>>> last_step(std::shared_ptr<Api> api, Addressed container,
                                                         std::string path, bool text) {
  auto found =
      co_await properties(std::move(api), std::move(container), text ? "stringSeries" : "floatSeries", std::move(path));
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return std::optional<double>();
  co_return number_member(**found, "lastStep");
}

namespace {

constexpr std::int64_t points_at_once = 1000;  // our own choice

/// The step a page may begin with, as the server counts up to it or from it.
Query from_step_on(double step) {
  Query query{{"limit", std::to_string(points_at_once)}};
  if (step >= 1) query.emplace_back("skipToStep", fmt::format("{}", step - 1));
  return query;
}

std::vector<StoredPoint> read_points(const json::object& page, bool text) {
  std::vector<StoredPoint> points;
  for (const auto* each : objects_member(page, "values")) {
    const auto step = number_member(*each, "step");
    const auto number = number_member(*each, "value");
    if (!step) continue;
    if (text) {
      points.push_back({*step, string_member(*each, "value")});
    } else if (number) {
      points.push_back({*step, *number});
    }
  }
  return points;
}

/// A page of a series; none: there is no such series.
asio::awaitable<Answer<std::optional<json::object>>> page_of(std::shared_ptr<Api> api, Addressed container,
                                                             std::string path, bool text, Query query) {
  auto page = co_await properties(std::move(api), std::move(container), text ? "series/string" : "series/float",
                                  std::move(path), std::move(query));
  // An attribute of another type.
  if (!page && page.error().status == 422) co_return std::optional<json::object>();
  co_return page;
}

/// Asked for by steps. The server's pages may begin with the step that was named or after it, so each page begins a
/// little before the last one's end.
asio::awaitable<Answer<std::vector<StoredPoint>>> float_points(std::shared_ptr<Api> api, Addressed container,
                                                               std::string path, StepRange range) {
  std::vector<StoredPoint> points;
  auto query = from_step_on(range.from);
  for (;;) {
    const auto page = co_await page_of(api, container, path, false, query);
    if (!page) co_return std::unexpected(page.error());
    if (!*page) co_return points;
    auto more = read_points(**page, false);
    const auto last = points.empty() ? -1.0 : points.back().step;
    std::erase_if(more, [last](const StoredPoint& point) { return point.step <= last; });
    if (more.empty()) co_return points;
    points.insert(points.end(), more.begin(), more.end());
    if (points.back().step > range.upto) co_return points;
    query = {{"limit", std::to_string(points_at_once)}, {"skipToStep", fmt::format("{}", points.back().step)}};
  }
}

/// Asked for by number: from the end backwards until the steps begin before the range.
asio::awaitable<Answer<std::vector<StoredPoint>>> text_points(std::shared_ptr<Api> api, Addressed container,
                                                              std::string path, StepRange range) {
  Query first{{"limit", "1"}, {"offset", "0"}};
  const auto found = co_await page_of(api, container, path, true, std::move(first));
  if (!found) co_return std::unexpected(found.error());
  std::vector<StoredPoint> points;
  if (!*found) co_return points;
  for (auto offset = integer_member(**found, "totalItemCount").value_or(0); offset > 0;) {
    const auto limit = std::min(points_at_once, offset);
    offset -= limit;
    Query query{{"limit", std::to_string(limit)}, {"offset", std::to_string(offset)}};
    const auto page = co_await page_of(api, container, path, true, std::move(query));
    if (!page) co_return std::unexpected(page.error());
    if (!*page) break;
    auto earlier = read_points(**page, true);
    points.insert(points.begin(), earlier.begin(), earlier.end());
    if (!points.empty() && points.front().step < range.from) break;
  }
  co_return points;
}

}  // namespace

asio::awaitable<Answer<std::vector<StoredPoint>>> points(std::shared_ptr<Api> api, Addressed container,
                                                         std::string path, bool text, StepRange range) {
  if (text) return text_points(std::move(api), std::move(container), std::move(path), range);
  return float_points(std::move(api), std::move(container), std::move(path), range);
}

asio::awaitable<Answer<bool>> has_attribute(std::shared_ptr<Api> api, Addressed container, std::string path) {
  for (;;) {
    const auto found = co_await find_container(api, container);
    if (!found) co_return std::unexpected(found.error());
    JsonCall call{.method = "POST", .path = "/api/leaderboard/v1/attributes/attributes"};
    call.query = {{"holderIdentifier", found->known.id}, {"holderType", "experiment"}};
    call.body = text_of({{"attributePathsFilter", json::array{path}}});
    call.max_answer_bytes = 2 * limits::string_bytes;
    const auto answer = co_await ask_object(api, std::move(call));
    if (answer) {
      const auto attributes = objects_member(*answer, "attributes");
      co_return std::ranges::any_of(attributes,
                                    [&path](const json::object* each) { return string_member(*each, "name") == path; });
    }
    if (!forget_stale(*api, container, *found, answer.error())) co_return std::unexpected(answer.error());
  }
}

asio::awaitable<Answer<std::int64_t>> point_count(std::shared_ptr<Api> api, Addressed container, std::string path,
                                                  SeriesKind kind) {
  Query query{{"limit", "1"}};
  auto found =
      co_await properties(std::move(api), std::move(container), folder_of(kind), std::move(path), std::move(query));
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return 0;
  const auto count = integer_member(**found, "totalItemCount");
  if (!count) co_return std::unexpected(invalid_answer("the count of a series"));
  co_return *count;
}

asio::awaitable<Answer<std::optional<std::string>>> string_value(std::shared_ptr<Api> api, Addressed container,
                                                                 std::string path) {
  auto found = co_await properties(std::move(api), std::move(container), "strings", std::move(path));
  if (!found) co_return std::unexpected(std::move(found.error()));
  if (!*found) co_return std::optional<std::string>();
  co_return string_member(**found, "value");
}

asio::awaitable<Answer<std::optional<std::string>>> attribute(std::shared_ptr<Api> api, Addressed container,
                                                              std::string path, ClientCopy::Type type) {
  co_return co_await properties_text(std::move(api), std::move(container), folder_of(type), std::move(path), {});
}

}  // namespace neptune::server
