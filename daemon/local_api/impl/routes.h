#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/control.h"
#include "local_api/impl/standing.h"
#include "support/clock.h"
#include "support/error.h"

namespace neptune {
class WorkerPool;
}

namespace neptune::local_api {

struct Answer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// `field` names the part of the request that is at fault; empty: none in particular.
Answer error_answer(unsigned status, std::string code, std::string message, std::string field = {});

/// The status of an error of the engine (local_api.h says which).
Answer error_answer(const Error& error);

/// One request, as a route's handler sees it: percent-decoded, its permissions checked.
struct Call {
  std::vector<std::string> args;             ///< what stands for each {} of the pattern
  std::map<std::string, std::string> query;  ///< only parameters the route knows
  std::string by{};                          ///< who asks; set for routes that not everybody may use
  Standing standing{};                       ///< the same, in full
  uid_t uid = 0;
  std::string body{};
  std::string accept{};     ///< the Accept header
  std::string body_type{};  ///< Content-Type without its parameters; empty: none was given
};

struct Context {
  engine::Control& control;
  const Clock& clock;
  WorkerPool& parsing;  ///< for bodies that would keep the loop too long
  std::string_view operator_group;
};

enum class Needs {
  read,     ///< anybody
  nudge,    ///< anybody, but not all the time: it makes the daemon call the server
  operate,  ///< an operator
  submit,   ///< anybody, within an allowance; what a change needs beyond that, the handler says
  ask,      ///< who it is decides: the handler says
};

enum class Takes {
  little,   ///< no body, or a small one
  changes,  ///< a body of changes: large, JSON or NDJSON
};

struct Route {
  std::string_view method;
  std::string_view pattern;  ///< a {} stands for one segment
  Needs needs;
  std::vector<std::string_view> parameters;  ///< of the query
  /// Null for the event stream, which is not one answer.
  boost::asio::awaitable<Answer> (*handler)(Context context, Call call);
  Takes takes = Takes::little;
};

std::span<const Route> routes();

/// `POST /v1/changes`: reads them, checks who may, queues them.
boost::asio::awaitable<Answer> post_changes(Context context, Call call);

/// The route of a request with its Call, or the answer that says what is wrong with it. HEAD finds GET's routes.
struct Found {
  const Route* route = nullptr;
  Call call;
};
std::expected<Found, Answer> find_route(std::string_view method, std::string_view target);

/// Reads "%2F" and the like; fails on a broken sequence. '+' is itself.
Result<std::string> percent_decode(std::string_view text);

/// A query parameter as a whole number from `min` to `max`; `otherwise` when it is not there.
std::expected<std::uint64_t, Answer> number(const Call& call, const std::string& name, std::uint64_t otherwise,
                                            std::uint64_t min, std::uint64_t max);
/// "1" and "true", "0" and "false".
std::expected<bool, Answer> flag(const Call& call, const std::string& name, bool otherwise);

}  // namespace neptune::local_api
