#include "client/cli/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "client/lib/json.h"

namespace neptune::cli {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::size_t digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

/// JSON's own form of a number: no sign '+', no leading zeros, digits on both sides of the point.
bool is_json_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto whole = digits(text);
  if (whole == 0 || (whole > 1 && text.front() == '0')) return false;
  text.remove_prefix(whole);
  if (text.starts_with('.')) {
    const auto fraction = digits(text.substr(1));
    if (fraction == 0) return false;
    text.remove_prefix(1 + fraction);
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    return !text.empty() && digits(text) == text.size();
  }
  return text.empty();
}

std::optional<double> number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  // Too large, or too small: strtod tells which.
  if (error == std::errc::result_out_of_range) return std::strtod(std::string(text).c_str(), nullptr);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

/// "007" names something; it is no number.
bool has_leading_zero(std::string_view text) {
  const auto first = text.find_first_not_of("+-");
  return first != std::string_view::npos && digits(text.substr(first)) > 1 && text[first] == '0';
}

/// "loss: ...; write loss='...'"
std::string about(std::string_view name, std::string message) {
  constexpr std::string_view any = "NAME=";
  if (const auto at = message.find(any); at != std::string::npos)
    message.replace(at, any.size(), std::string(name) + "=");
  return std::string(name) + ": " + message;
}

bool begins_like_a_number(std::string_view text) {
  return is_digit(text.front()) || std::string_view("+-.").find(text.front()) != std::string_view::npos;
}

template <class Value>
Result<std::string> object_json(const std::vector<std::string>& assignments, Value value) {
  std::string out = "{";
  std::set<std::string, std::less<>> names;
  for (const auto& text : assignments) {
    const auto named = split_assignment(text);
    if (!named) return std::unexpected(named.error());
    const std::string name(named->name);
    if (!names.insert(name).second) return fail("invalid_value", name + " is given twice; keep one of them.");
    Result<std::string> json = value(named->value);
    if (!json) return fail(json.error().code, about(named->name, json.error().message));
    if (out.size() > 1) out += ',';
    api::append_json_string(out, named->name);
    out += ":" + *json;
  }
  return out + "}";
}

std::string text_json(std::string_view text) {
  std::string out;
  api::append_json_string(out, text);
  return out;
}

}  // namespace

ChangeText& ChangeText::json(std::string_view name, std::string_view value) {
  if (json_.size() > 1) json_ += ',';
  api::append_json_string(json_, name);
  json_ += ':';
  json_ += value;
  return *this;
}

ChangeText& ChangeText::text(std::string_view name, std::string_view value) {
  return json(name, text_json(value));
}

ChangeText& ChangeText::text(std::string_view name, const std::optional<std::string>& value) {
  return value ? text(name, std::string_view(*value)) : *this;
}

ChangeText& ChangeText::texts(std::string_view name, const std::vector<std::string>& values) {
  return json(name, texts_json(values));
}

std::optional<std::string> number_json(std::string_view text) {
  const auto number = has_leading_zero(text) ? std::nullopt : number_of(text);
  if (!number || !std::isfinite(*number)) return std::nullopt;
  if (is_json_number(text)) return std::string(text);
  char shortest[32];
  return std::string(shortest, std::to_chars(shortest, shortest + sizeof shortest, *number).ptr);
}

Result<std::string> value_json(std::string_view text) {
  if (text.empty())
    return fail(
        "invalid_value",
        "the value is empty, as of a variable that is not set; write NAME='\"\"' where an empty text is meant.");
  if (text == "true" || text == "false") return std::string(text);
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"'))
    return text_json(text.substr(1, text.size() - 2));
  if (auto number = number_json(text)) return std::move(*number);
  if (const auto number = number_of(text); number && !std::isfinite(*number))
    return fail("invalid_value", "the server takes no NaN and no infinity, nor what is past 1.8e308; leave '" +
                                     std::string(text) + "' out, or put it in double quotes when it is a text.");
  return text_json(text);
}

bool is_bare_text(std::string_view text) {
  const auto json = value_json(text);
  return json && *json == text_json(text);
}

Result<Assignment> split_assignment(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return fail("invalid_assignment",
                "'" + std::string(text) + "' is not of the form NAME=VALUE; write it as in loss=0.3.");
  return Assignment{text.substr(0, equals), text.substr(equals + 1)};
}

Result<std::string> assignments_json(const std::vector<std::string>& assignments) {
  return object_json(assignments, [](std::string_view text) { return value_json(text); });
}

Result<std::string> points_json(const std::vector<std::string>& points, const std::optional<std::string>& step) {
  return object_json(points, [&step](std::string_view text) -> Result<std::string> {
    auto value = value_json(text);
    if (!value) return value;
    if (*value == "true" || *value == "false")
      return fail("invalid_value", "a series holds numbers or texts; use --assign for '" + std::string(text) + "'.");
    if (begins_like_a_number(text) && is_bare_text(text))
      return fail("invalid_value", "'" + std::string(text) + "' is no number; write one, or NAME='\"" +
                                       std::string(text) + "\"' to log a text, which makes it a series of texts.");
    return step ? "{\"value\":" + *value + ",\"step\":" + *step + "}" : *value;
  });
}

Result<std::string> words_json(const std::vector<std::string>& assignments) {
  return object_json(assignments, [](std::string_view text) -> Result<std::string> { return text_json(text); });
}

Result<std::string> sets_json(const std::vector<std::string>& members) {
  std::map<std::string, std::vector<std::string>> sets;
  for (const auto& text : members) {
    const auto named = split_assignment(text);
    if (!named) return std::unexpected(named.error());
    sets[std::string(named->name)].emplace_back(named->value);
  }
  std::string out = "{";
  for (const auto& [name, values] : sets) {
    if (out.size() > 1) out += ',';
    out += text_json(name) + ":" + texts_json(values);
  }
  return out + "}";
}

std::string texts_json(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const auto& value : values) out += (out.size() > 1 ? "," : "") + text_json(value);
  return out + "]";
}

std::optional<std::size_t> line_of_change(std::string_view body, std::size_t index) {
  const auto begin = body.find_first_not_of(" \t\r\n");
  const bool array = begin != std::string_view::npos && body[begin] == '[';
  std::size_t line = 1, depth = 0, changes = 0;
  bool in_text = false, in_change = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    const bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (depth == (array ? 1 : 0) && !in_text && !in_change && !space && c != ',' && c != ']') {
      if (changes++ == index) return line;
      in_change = true;
    }
    if (in_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '{' || c == '[')) {
      ++depth;
    } else if (!in_text && (c == '}' || c == ']') && depth > 0) {
      --depth;
    }
    if (depth == (array ? 1 : 0) && !in_text && (c == ',' || c == '}' || c == '\n')) in_change = false;
    if (c == '\n') ++line;
  }
  return std::nullopt;
}

std::string absolute_file(const std::string& file) {
  const auto path = std::filesystem::absolute(file);
  std::error_code missing;  // which the daemon says better
  const auto folder = std::filesystem::canonical(path.parent_path(), missing);
  return (missing ? path : folder / path.filename()).string();
}

}  // namespace neptune::cli
