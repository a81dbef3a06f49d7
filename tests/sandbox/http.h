#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace neptune::sandbox {

class Blob;

struct Request {
  std::string method;
  std::string path;                            ///< percent-decoded
  std::map<std::string, std::string> query;    ///< decoded
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::map<std::string, std::string> vars;     ///< what the route's {names} stand for
  std::string body;
  std::shared_ptr<Blob> spooled;  ///< instead of the body, where the route says so

  /// The value, or empty.
  const std::string& query_value(const std::string& name) const;
  const std::string& header(const std::string& name) const;
};

struct Response {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
};

/// The error body of the API: code, errorType and type (when there is one), title and message.
Response error_response(unsigned status, std::string_view error_type, std::string_view message);

/// One call of the API.
struct Route {
  std::string method;
  std::string pattern;  ///< "/api/.../{workspace}/status": a name in braces stands for one path segment
  bool needs_token = true;
  std::size_t max_body = 1u << 20;  ///< past it: 413
  bool spooled = false;             ///< the body is a file's: it goes to the disk as it comes
  std::function<Response(const Request&)> handle;
  /// How the API's description puts it, see Description in routes.h; empty operation: not described.
  std::string operation, parameters, answer;
  /// `handle` without the journal, for calls that are replayed from it; null for those that change nothing.
  std::function<Response(const Request&)> replay;

  std::string name() const { return method + " " + pattern; }
};

class Router {
 public:
  void add(Route route);
  /// The route of a request, its vars set; null when there is none.
  const Route* find(Request& request) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

std::string percent_decode(std::string_view text);
/// "a=1&b=x%20y", as in a query and a form body ('+' is a space).
std::map<std::string, std::string> parse_form(std::string_view text);

}  // namespace neptune::sandbox
