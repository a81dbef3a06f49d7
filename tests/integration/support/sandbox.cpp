#include "tests/integration/support/sandbox.h"

#include <bit>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include "tests/integration/support/json.h"

namespace neptune::testing {

Sandbox::Sandbox(std::filesystem::path directory, std::vector<std::string> args)
    : directory_(std::move(directory)), args_(std::move(args)) {
  std::filesystem::create_directories(directory_);
  start();
}

void Sandbox::start() {
  Process::Options options;
  options.binary = binary("neptune-sandbox");
  options.args = {"--port", port_, "--token-file", token_file().string()};
  options.args.insert(options.args.end(), args_.begin(), args_.end());
  options.output_dir = directory_;
  process_.emplace(std::move(options));
  const auto url = process_->wait_for_line("url ");
  const auto token = process_->wait_for_line("token ");
  if (!url || !token) throw std::runtime_error("neptune-sandbox did not start: " + process_->err());
  url_ = url->substr(4);
  token_ = token->substr(6);
  port_ = url_.substr(url_.rfind(':') + 1);
}

std::optional<int> Sandbox::stop() {
  return process_->terminate();
}

boost::json::value Sandbox::control(std::string_view settings) const {
  const auto answer =
      http(url_, {"POST", "/sandbox/control", {{"Content-Type", "application/json"}}, std::string(settings)});
  if (answer.status != 200)
    throw std::runtime_error("sandbox control answered " + std::to_string(answer.status) + ": " + answer.body);
  return parse_json(answer.body);
}

boost::json::value Sandbox::state(std::string_view query) const {
  const auto answer = http(url_, {"GET", "/sandbox/state" + (query.empty() ? "" : "?" + std::string(query)), {}, {}});
  if (answer.status != 200)
    throw std::runtime_error("sandbox state answered " + std::to_string(answer.status) + ": " + answer.body);
  return parse_json(answer.body);
}

std::pair<bool, boost::json::value> Sandbox::wait_for(std::function<bool(const boost::json::value&)> holds,
                                                      std::chrono::milliseconds timeout, std::string_view query) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    auto now = state(query);
    if (holds(now)) return {true, std::move(now)};
    if (std::chrono::steady_clock::now() >= deadline) return {false, std::move(now)};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

HttpAnswer Sandbox::call(HttpRequest request) const {
  const auto exchange =
      http(url_, {"GET", "/api/backend/v1/authorization/oauth-token", {{"X-Neptune-Api-Token", token_}}, {}});
  if (exchange.status != 200) throw std::runtime_error("the sandbox refused its own token: " + exchange.body);
  const auto access = parse_json(exchange.body).as_object().at("accessToken").as_string();
  request.headers["Authorization"] = "Bearer " + std::string(access);
  return http(url_, request);
}

std::string points_hash(const std::vector<std::pair<std::uint64_t, double>>& points) {
  // FNV-1a: tests/sandbox/README.md, "Summary".
  std::uint64_t hash = 0xCBF29CE484222325u;
  const auto add = [&hash](std::uint64_t word) {
    for (int i = 0; i < 8; ++i) hash = (hash ^ ((word >> (8 * i)) & 0xFF)) * 0x100000001B3u;
  };
  for (const auto& [step, value] : points) {
    add(step);
    add(std::bit_cast<std::uint64_t>(value));
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace neptune::testing
