#include "server/impl/classify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/impl/json.h"
#include "server/impl/retry_after.h"
#include "server/impl/text.h"

namespace neptune::server {

namespace {

constexpr std::array<std::string_view, 3> read_only_workspace{"WORKSPACE_IN_READ_ONLY_MODE", "WORKSPACE_READONLY",
                                                              "INGEST_SUSPENDED"};
constexpr std::array<std::string_view, 2> read_only_project{"PROJECT_LIMITS_EXCEEDED",
                                                            "WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT"};

// Limits that stop this one change and nothing else, whatever status they come with.
constexpr std::array<std::string_view, 4> this_change_only{
    "ATTRIBUTES_PER_EXPERIMENT_LIMIT_EXCEEDED", "INSUFFICIENT_ACTIVE_PROJECTS_QUOTA",
    "ACTIVE_PROJECTS_QUOTA_COULD_NOT_BE_CHANGED", "TOO_MANY_OPERATIONS"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

struct Said {
  std::string type;         // errorType, else type; empty when there is none
  std::string words;        // title, else message
  bool by_the_api = false;  // the body is an error as the API writes it
};

bool is_error_type(std::string_view text) {
  return !text.empty() && text.size() <= 100 && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Said read(const Response& response) {
  Said said;
  if (const auto object = parse_object(response.body)) {
    said.type = string_member(*object, "errorType");
    if (said.type.empty()) said.type = string_member(*object, "type");
    if (!is_error_type(said.type)) said.type.clear();
    said.by_the_api = !said.type.empty() || (integer_member(*object, "code") && object->contains("message"));
    said.words = excerpt(string_member(*object, "title"));
    if (said.words.empty()) said.words = excerpt(string_member(*object, "message"));
  } else if (lower(response.header("content-type")).starts_with("text/plain")) {
    // Nobody checked its encoding, and a message must be UTF-8.
    const auto line = trim(std::string_view(response.body).substr(0, response.body.find('\n')));
    if (is_header_value(line)) said.words = excerpt(line, 200);
  }
  return said;
}

Failure::Kind kind_by_status(int status, bool has_type, Intent intent) {
  switch (status) {
    case 401:
      return Failure::Kind::token_rejected;
    case 403:
      return Failure::Kind::forbidden;
    case 413:
      return Failure::Kind::too_large;
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
      return Failure::Kind::busy;
    case 402:
      // A payment is required for something this page does not know: the status call can tell.
      if (intent == Intent::write) return has_type ? Failure::Kind::ambiguous_limit : Failure::Kind::read_only;
      return Failure::Kind::rejected;
    case 422:
      return intent == Intent::write && !has_type ? Failure::Kind::ambiguous_limit : Failure::Kind::rejected;
    default:
      return status >= 400 && status < 500 ? Failure::Kind::rejected : Failure::Kind::server_error;
  }
}

Failure::Kind kind_of(int status, const std::string& type, Intent intent) {
  const bool may_be_read_only = status >= 400 && status < 500 && status != 401 && status != 408 && status != 429;
  if (may_be_read_only && (contains(read_only_workspace, type) || contains(read_only_project, type)))
    return Failure::Kind::read_only;
  if (type == "TOO_MANY_REQUESTS_PER_USER" && status != 401) return Failure::Kind::busy;
  if (status >= 400 && status < 500 && status != 401 && status != 408 && status != 429 &&
      (contains(this_change_only, type) || type.starts_with("LIMIT_OF_")))
    return Failure::Kind::rejected;
  return kind_by_status(status, !type.empty(), intent);
}

std::string_view what_it_means(Failure::Kind kind, int status, const Said& said) {
  if (status == 404 && said.type.empty())
    return said.by_the_api ? "the server, or something before it, does not know this"
                           : "something before the server answered this, and not its API: it may be restarting";
  switch (kind) {
    case Failure::Kind::busy:
      return "the server asks for a pause";
    case Failure::Kind::token_rejected:
      return "the server does not accept the API token; replace it";
    case Failure::Kind::forbidden:
      return "the token's user has no permission for this; ask for access to the project";
    case Failure::Kind::read_only:
      return "the server takes no writes now (read-only mode); delete old data or raise the limit";
    case Failure::Kind::ambiguous_limit:
      return "the server refused this: a limit is exceeded, or the data is not valid";
    case Failure::Kind::too_large:
      return "the server finds the request too large";
    case Failure::Kind::rejected:
      return "the server refused this";
    default:
      break;
  }
  if (status >= 300 && status < 400)
    return "the server answered with a redirect, which is not followed; put its final address into the API token";
  return "the server failed";
}

}  // namespace

std::string_view Response::header(std::string_view name) const {
  for (const auto& each : headers)
    if (equal_ignoring_case(each.name, name)) return each.value;
  return {};
}

Failure classify(const Response& response, Intent intent, WallTime now) {
  const auto said = read(response);
  Failure failure{kind_of(response.status, said.type, intent),
                  said.type.empty() ? fmt::format("http_{}", response.status) : said.type,
                  {},
                  parse_retry_after(response.header("retry-after"), now),
                  contains(read_only_project, said.type),
                  response.status};
  failure.scope_is_project = failure.scope_is_project && failure.kind == Failure::Kind::read_only;
  failure.message = fmt::format("{} (HTTP {}{}{})", what_it_means(failure.kind, response.status, said), response.status,
                                said.type.empty() ? "" : " ", said.type);
  if (!said.words.empty()) failure.message += ": " + said.words;
  failure.words = said.words;
  return failure;
}

}  // namespace neptune::server
