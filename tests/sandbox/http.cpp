#include "tests/sandbox/http.h"

#include <boost/json.hpp>
#include <optional>

namespace neptune::sandbox {

namespace {

const std::string nothing;

const std::string& value_or_empty(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? nothing : found->second;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The first segment of a path, taken off it.
std::string_view take_segment(std::string_view& path) {
  const auto slash = path.find('/');
  const auto segment = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  return segment;
}

std::optional<std::map<std::string, std::string>> match(std::string_view pattern, std::string_view path) {
  std::map<std::string, std::string> vars;
  while (!pattern.empty() && !path.empty()) {
    const auto expected = take_segment(pattern);
    const auto segment = take_segment(path);
    if (expected.starts_with('{'))
      vars[std::string(expected.substr(1, expected.size() - 2))] = segment;
    else if (expected != segment)
      return std::nullopt;
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return vars;
}

}  // namespace

const std::string& Request::query_value(const std::string& name) const {
  return value_or_empty(query, name);
}
const std::string& Request::header(const std::string& name) const {
  return value_or_empty(headers, name);
}

Response error_response(unsigned status, std::string_view error_type, std::string_view message) {
  boost::json::object body{{"code", status}, {"title", message}, {"message", message}};
  if (!error_type.empty()) {
    body["errorType"] = error_type;
    body["type"] = error_type;
  }
  return {status, boost::json::serialize(body), "application/json", {}};
}

void Router::add(Route route) {
  routes_.push_back(std::move(route));
}

const Route* Router::find(Request& request) const {
  for (const auto& route : routes_) {
    if (route.method != request.method) continue;
    if (auto vars = match(route.pattern, request.path)) {
      request.vars = std::move(*vars);
      return &route;
    }
  }
  return nullptr;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

std::map<std::string, std::string> parse_form(std::string_view text) {
  std::map<std::string, std::string> out;
  while (!text.empty()) {
    const auto end = text.find('&');
    std::string pair(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    for (auto& c : pair)
      if (c == '+') c = ' ';
    const auto equals = pair.find('=');
    const auto name = percent_decode(std::string_view(pair).substr(0, equals));
    out[name] = equals == std::string::npos ? std::string() : percent_decode(std::string_view(pair).substr(equals + 1));
  }
  return out;
}

}  // namespace neptune::sandbox
