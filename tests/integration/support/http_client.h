#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

namespace neptune::testing {

struct HttpAnswer {
  unsigned status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

struct HttpRequest {
  std::string method = "GET";
  std::string target;  ///< path and query, percent-encoded
  std::map<std::string, std::string> headers;
  std::string body;
};

/// One request over a connection of its own, blocking. `url` is "http://host:port"; "https://" does not verify the
/// certificate. Throws boost::system::system_error when there is no (whole) answer within `timeout`.
HttpAnswer http(const std::string& url, const HttpRequest& request,
                std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// The same over a Unix socket.
HttpAnswer http_unix(const std::string& socket_path, const HttpRequest& request,
                     std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace neptune::testing
