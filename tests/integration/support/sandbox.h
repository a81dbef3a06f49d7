#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/integration/support/http_client.h"
#include "tests/integration/support/process.h"

namespace neptune::testing {

/// A running neptune-sandbox (tests/sandbox/README.md) on a port the kernel picked.
///
/// The constructor returns once it listens; what fails throws. Calls block.
class Sandbox {
 public:
  /// `directory` gets its output, its token file ("token") and, with "--state", whatever `args` say.
  explicit Sandbox(std::filesystem::path directory, std::vector<std::string> args = {});

  const std::string& url() const { return url_; }
  const std::string& token() const { return token_; }
  std::filesystem::path token_file() const { return directory_ / "token"; }

  /// POST /sandbox/control with a JSON object; throws with the sandbox's own words when it is refused.
  boost::json::value control(std::string_view settings) const;

  /// GET /sandbox/state. `query` as in "summary=1&recent=1"; parsed by parse_json. Numbers of points are integers.
  boost::json::value state(std::string_view query = "") const;

  /// Asks for the state until `holds` says yes, at most until the time is up; the last state either way.
  std::pair<bool, boost::json::value> wait_for(std::function<bool(const boost::json::value&)> holds,
                                               std::chrono::milliseconds timeout = std::chrono::seconds(20),
                                               std::string_view query = "summary=1") const;

  /// A call of the API with a valid access token.
  HttpAnswer call(HttpRequest request) const;

  /// SIGTERM, and the exit status.
  std::optional<int> stop();
  /// Starts again on the same port with the same arguments, after stop() or kill().
  void start();
  void kill() { process_->kill(); }
  Process& process() { return *process_; }

 private:
  std::filesystem::path directory_;
  std::vector<std::string> args_;
  std::string url_, token_, port_ = "0";
  std::optional<Process> process_;
};

/// The "hash" that the state's summary gives a series of doubles; steps are millionths.
std::string points_hash(const std::vector<std::pair<std::uint64_t, double>>& points);

}  // namespace neptune::testing
