#include "local_api/impl/routes.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "client/lib/json.h"
#include "support/utf8.h"

namespace neptune::local_api {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// `encoded`: as it came.
Answer no_utf8(std::string code, std::string_view encoded, std::string field = {}) {
  return error_answer(400, std::move(code),
                      "'" + std::string(encoded) + "' is not UTF-8 once it is decoded: encode it in that.",
                      std::move(field));
}

/// What stands for the pattern's {}, still percent-encoded; nothing when the path is another one.
std::optional<std::vector<std::string_view>> match(std::string_view pattern, std::string_view path) {
  const auto wanted = split(pattern, '/'), given = split(path, '/');
  if (wanted.size() != given.size()) return std::nullopt;
  std::vector<std::string_view> args;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{}" && !given[i].empty())
      args.push_back(given[i]);
    else if (wanted[i] != given[i])
      return std::nullopt;
  }
  return args;
}

std::string known_routes() {
  std::string text;
  for (const auto& route : routes())
    text += (text.empty() ? "" : ", ") + std::string(route.method) + " " + std::string(route.pattern);
  return text;
}

std::expected<std::map<std::string, std::string>, Answer> read_query(const Route& route, std::string_view text) {
  std::map<std::string, std::string> query;
  for (const auto part : split(text, '&')) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const auto name = percent_decode(part.substr(0, equals));
    const auto value = percent_decode(equals == std::string_view::npos ? "" : part.substr(equals + 1));
    if (!name || !value)
      return std::unexpected(
          error_answer(400, "invalid_query", "The query has a broken percent-encoding: write % as %25."));
    if (!is_utf8(*name)) return std::unexpected(no_utf8("invalid_query", part));
    if (std::find(route.parameters.begin(), route.parameters.end(), *name) == route.parameters.end()) {
      std::string known;
      for (const auto parameter : route.parameters) known += (known.empty() ? "" : ", ") + std::string(parameter);
      return std::unexpected(error_answer(400, "unknown_parameter",
                                          std::string(route.pattern) + " knows no parameter '" + *name +
                                              "'; it knows " + (known.empty() ? "none." : known + "."),
                                          *name));
    }
    // A path is bytes of any kind.
    if (!is_utf8(*value) && *name != "file" && *name != "below")
      return std::unexpected(no_utf8("invalid_query", part, *name));
    if (!query.emplace(*name, *value).second)
      return std::unexpected(
          error_answer(400, "invalid_query", "The query gives '" + *name + "' twice; leave one of them out.", *name));
  }
  return query;
}

Answer no_route(std::string_view method, std::string_view path) {
  std::string allow;
  for (const auto& route : routes()) {
    if (!match(route.pattern, path)) continue;
    allow += (allow.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == "GET") allow += ", HEAD";
  }
  if (allow.empty())
    return error_answer(404, "unknown_route",
                        "There is no " + std::string(path) + " here. Known: " + known_routes() + ".");
  auto answer = error_answer(405, "method_not_allowed",
                             std::string(path) + " does not take " + std::string(method) + "; it takes " + allow + ".");
  answer.headers.emplace_back("Allow", allow);
  return answer;
}

/// "http://localhost/v1/status" asks for the same as "/v1/status".
std::string_view without_authority(std::string_view target) {
  if (!target.starts_with("http://")) return target;
  const auto slash = target.find('/', 7);
  return slash == std::string_view::npos ? "/" : target.substr(slash);
}

}  // namespace

std::expected<Found, Answer> find_route(std::string_view method, std::string_view target) {
  target = without_authority(target.substr(0, target.find('#')));
  const auto question = target.find('?');
  const auto path = target.substr(0, question);
  const auto query = question == std::string_view::npos ? "" : target.substr(question + 1);
  const auto wanted_method = method == "HEAD" ? std::string_view("GET") : method;
  for (const auto& route : routes()) {
    if (route.method != wanted_method) continue;
    const auto args = match(route.pattern, path);
    if (!args) continue;
    Found found{&route, {}};
    for (const auto arg : *args) {
      auto decoded = percent_decode(arg);
      if (!decoded) return std::unexpected(error_answer(400, "invalid_path", decoded.error().message));
      if (!is_utf8(*decoded)) return std::unexpected(no_utf8("invalid_path", arg));
      found.call.args.push_back(std::move(*decoded));
    }
    auto parameters = read_query(route, query);
    if (!parameters) return std::unexpected(std::move(parameters.error()));
    found.call.query = std::move(*parameters);
    return found;
  }
  return std::unexpected(no_route(method, path));
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    const auto* digits = text.data() + i + 1;
    if (i + 2 >= text.size() || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2)
      return fail("invalid_path", "'" + std::string(text) + "' has a broken percent-encoding: write % as %25.");
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

std::expected<std::uint64_t, Answer> number(const Call& call, const std::string& name, std::uint64_t otherwise,
                                            std::uint64_t min, std::uint64_t max) {
  const auto found = call.query.find(name);
  if (found == call.query.end()) return otherwise;
  const auto& text = found->second;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < min || value > max)
    return std::unexpected(error_answer(400, "invalid_parameter",
                                        "'" + name + "' is '" + text + "', but must be a whole number from " +
                                            std::to_string(min) + " to " + std::to_string(max) + ".",
                                        name));
  return value;
}

std::expected<bool, Answer> flag(const Call& call, const std::string& name, bool otherwise) {
  const auto found = call.query.find(name);
  if (found == call.query.end()) return otherwise;
  if (found->second == "1" || found->second == "true") return true;
  if (found->second == "0" || found->second == "false") return false;
  return std::unexpected(
      error_answer(400, "invalid_parameter", "'" + name + "' is '" + found->second + "', but must be 1 or 0.", name));
}

Answer error_answer(unsigned status, std::string code, std::string message, std::string field) {
  api::ErrorReply reply{std::move(code), std::move(message), std::nullopt};
  if (!field.empty()) reply.field = std::move(field);
  Answer answer;
  answer.status = status;
  answer.body = api::to_json(reply);
  return answer;
}

Answer error_answer(const Error& error) {
  const std::string_view code = error.code;
  unsigned status = error.retryable ? 503 : 500;
  if (code == "not_found" || code.starts_with("unknown_") || code.ends_with("_not_found"))
    status = 404;
  else if (code == "file_not_theirs")
    status = 403;
  else if (code.starts_with("invalid_") || (code.starts_with("file_") && code != "file_not_copied" && !error.retryable))
    status = 400;
  else if (code == "conflict" || code.starts_with("already_"))
    status = 409;
  else if (code == "held_writes" || code == "idempotency_key_reused")
    status = 409;
  else if (code == "queue_full" || code == "disk_full" || code == "low_disk")
    status = 507;
  else if (code == "draining" || code == "queue_unusable")
    status = 503;
  return error_answer(status, error.code, error.message);
}

}  // namespace neptune::local_api
