#include "changes/impl/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "changes/impl/fields.h"
#include "changes/impl/verdict.h"
#include "changes/limits.h"
#include "support/utf8.h"

namespace neptune::changes {

namespace {

namespace json = boost::json;

/// Puts the tree together from the parser's events, and hands out each element of the outermost array when it ends.
class Builder {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  Builder(const JsonSink& sink, std::size_t max_values) : sink_(sink), max_values_(max_values) {}

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) { return begin(Json::Type::object, ec); }
  bool on_object_end(std::size_t, json::error_code& ec) {
    if (const auto* twice = repeated_name(open_.back())) {
      names_.push_back(*twice);  // behind those of the objects it is in
      Verdict verdict;
      verdict.refuse("duplicate_field",
                     fmt::format("{} is given twice in one object; keep one of them.", quoted(*twice)),
                     fmt::to_string(fmt::join(names_, ".")));
      problem_ = verdict.refusal();
      return stop(ec);
    }
    return end(ec);
  }
  bool on_array_begin(json::error_code& ec) {
    if (open_.empty() && !was_array) {
      was_array = true;
      return true;
    }
    return begin(Json::Type::array, ec);
  }
  bool on_array_end(std::size_t, json::error_code& ec) { return open_.empty() || end(ec); }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return collect(part); }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    collect(part);
    names_.push_back(std::move(text_));
    text_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return collect(part); }
  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    collect(part);
    return leaf(Json::Type::string, ec);
  }
  bool on_number_part(json::string_view part, json::error_code&) { return collect(part); }
  bool on_int64(std::int64_t, json::string_view part, json::error_code& ec) { return number(part, ec); }
  bool on_uint64(std::uint64_t, json::string_view part, json::error_code& ec) { return number(part, ec); }
  bool on_double(double, json::string_view part, json::error_code& ec) { return number(part, ec); }
  bool on_bool(bool truth, json::error_code& ec) {
    Json value(Json::Type::boolean);
    value.truth = truth;
    return place(std::move(value), ec);
  }
  bool on_null(json::error_code& ec) { return place(Json{}, ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  bool was_array = false;
  bool stopped = false;  ///< by the sink
  const std::optional<Refusal>& problem() const { return problem_; }

 private:
  bool collect(json::string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }

  bool number(json::string_view part, json::error_code& ec) {
    collect(part);
    return leaf(Json::Type::number, ec);
  }

  bool leaf(Json::Type type, json::error_code& ec) {
    Json value(type, std::exchange(text_, {}));
    return place(std::move(value), ec);
  }

  bool begin(Json::Type type, json::error_code& ec) {
    open_.emplace_back(type);
    return count(ec);
  }

  bool end(json::error_code& ec) {
    auto value = std::move(open_.back());
    open_.pop_back();
    --values_;  // place() counts it again
    return place(std::move(value), ec);
  }

  bool place(Json&& value, json::error_code& ec) {
    if (!count(ec)) return false;
    if (open_.empty()) {
      values_ = 0;
      if (sink_(std::move(value))) return true;
      stopped = true;
      return stop(ec);
    }
    JsonMember member{.value = std::move(value)};
    if (open_.back().is(Json::Type::object)) {
      member.name = std::move(names_.back());
      names_.pop_back();
    }
    open_.back().members.push_back(std::move(member));
    return true;
  }

  bool count(json::error_code& ec) {
    if (++values_ <= max_values_) return true;
    problem_ =
        Refusal{Refusal::Kind::too_large, "too_many_values",
                fmt::format("One change holds more than {} values; split it into several changes.", max_values_), ""};
    return stop(ec);
  }

  static const std::string* repeated_name(const Json& object) {
    std::vector<const std::string*> names;
    names.reserve(object.members.size());
    for (const auto& member : object.members) names.push_back(&member.name);
    std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
    const auto twice =
        std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
    return twice == names.end() ? nullptr : *twice;
  }

  static bool stop(json::error_code& ec) {
    ec = boost::system::errc::make_error_code(boost::system::errc::operation_canceled);
    return false;
  }

  const JsonSink& sink_;
  std::size_t max_values_;
  std::vector<Json> open_;          ///< objects and arrays that have begun
  std::vector<std::string> names_;  ///< of members whose value has not ended
  std::string text_;                ///< of the token being read
  std::size_t values_ = 0;          ///< of the present element
  std::optional<Refusal> problem_;
};

Refusal syntax_refusal(std::string_view text, std::size_t at, const json::error_code& ec, std::size_t first_line) {
  at = std::min(at, text.size());
  const auto valid = utf8_part(text);
  const bool is_other_text = valid <= at && valid < text.size();
  if (is_other_text) at = valid;
  const auto before = text.substr(0, at);
  const auto line = first_line + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  const auto newline = before.rfind('\n');
  const auto column = newline == std::string_view::npos ? at + 1 : at - newline;
  const auto rest = text.substr(at);
  std::string why = ec.message();
  std::string code = "invalid_json";
  if (ec == json::error::too_deep) {
    code = "too_deep";
    why = fmt::format("more than {} objects and arrays within each other", limits::json_depth);
  } else if (is_other_text) {
    why =
        fmt::format("the byte 0x{:02x} there is not UTF-8, which a body must be", static_cast<unsigned char>(rest[0]));
  } else if (ec == json::error::extra_data) {
    why += " (several changes are sent as an array, or one a line with Content-Type: application/x-ndjson)";
  } else if (rest.starts_with("N") || rest.starts_with("I") || rest.starts_with("-I") || before.ends_with("-")) {
    why += " (JSON has no NaN or Infinity, and the server takes no such values)";
  }
  return {Refusal::Kind::malformed, std::move(code),
          fmt::format("The body cannot be read as JSON at line {}, column {}: {}. Nothing of it was taken.", line,
                      column, why),
          ""};
}

}  // namespace

bool Json::is_whole_number() const {
  return type == Type::number && text.find_first_of(".eE") == std::string::npos;
}

const Json* Json::find(std::string_view name) const {
  for (const auto& member : members)
    if (member.name == name) return &member.value;
  return nullptr;
}

std::string_view describe(Json::Type type) {
  switch (type) {
    case Json::Type::null:
      return "null";
    case Json::Type::boolean:
      return "true or false";
    case Json::Type::number:
      return "a number";
    case Json::Type::string:
      return "a string";
    case Json::Type::array:
      return "an array";
    case Json::Type::object:
      return "an object";
  }
  return "a value";
}

std::expected<JsonEnd, Refusal> read_json(std::string_view text, const JsonSink& sink, std::size_t max_values,
                                          std::size_t first_line) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos)
    return std::unexpected(Refusal{Refusal::Kind::malformed, "empty_body",
                                   "The body is empty; send one change as a JSON object, or an array of them.", ""});
  if (first_utf8_character(text.substr(first)).bytes == 0)
    return std::unexpected(syntax_refusal(text, first, json::error::syntax, first_line));
  if (text[first] != '{' && text[first] != '[')
    return std::unexpected(Refusal{Refusal::Kind::malformed, "invalid_json",
                                   "The body is neither a JSON object nor an array of objects; send one of these.",
                                   ""});
  json::parse_options options;
  options.max_depth = limits::json_depth;
  json::basic_parser<Builder> parser(options, sink, max_values);
  json::error_code ec;
  const auto used = parser.write_some(false, text.data(), text.size(), ec);
  const auto& builder = parser.handler();
  if (builder.problem()) return std::unexpected(*builder.problem());
  if (builder.stopped) return JsonEnd{builder.was_array};
  if (!ec && text.find_first_not_of(" \t\r\n", used) != std::string_view::npos) ec = json::error::extra_data;
  if (ec) return std::unexpected(syntax_refusal(text, used, ec, first_line));
  return JsonEnd{builder.was_array};
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
          out += c;
    }
  }
  out += '"';
}

void append_json_double(std::string& out, double value) {
  auto digits = fmt::format("{}", value);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  out += digits;
}

std::string& JsonObject::member(std::string_view name) {
  if (!first_) out_ += ',';
  first_ = false;
  append_json_string(out_, name);
  out_ += ':';
  return out_;
}

void JsonObject::texts(std::string_view name, const std::vector<std::string>& values) {
  auto& out = member(name);
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, values[i]);
  }
  out += ']';
}

}  // namespace neptune::changes
