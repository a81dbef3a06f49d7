#include "tests/integration/support/json.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

namespace neptune::testing {

namespace json = boost::json;

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  json::value document() {
    auto value = read();
    skip_space();
    if (at_ != text_.size()) refuse("something follows the end");
    return value;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw std::runtime_error("JSON, offset " + std::to_string(at_) + ": " + why);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool word(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  bool take(char expected) {
    skip_space();
    if (peek() != expected) return false;
    ++at_;
    return true;
  }

  json::value read() {
    skip_space();
    switch (peek()) {
      case '{':
        return object();
      case '[':
        return array();
      case '"':
        return json::string(string());
      default:
        break;
    }
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (word("true")) return true;
    if (word("false")) return false;
    if (word("null")) return nullptr;
    if (word("NaN")) return std::numeric_limits<double>::quiet_NaN();
    if (word("Infinity")) return infinity;
    if (word("-Infinity")) return -infinity;
    return number();
  }

  json::value number() {
    const auto end = text_.find_first_not_of("+-.0123456789eE", at_);
    const auto digits = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
    if (digits.empty()) refuse("no value here");
    const char* first = digits.data();
    const char* last = first + digits.size();
    const auto whole = [&](auto result) { return result.ec == std::errc{} && result.ptr == last; };
    at_ += digits.size();
    if (digits.find_first_of(".eE") == std::string_view::npos) {
      std::int64_t small = 0;
      if (whole(std::from_chars(first, last, small))) return small;
      std::uint64_t large = 0;
      if (whole(std::from_chars(first, last, large))) return large;
    }
    double real = 0;
    if (!whole(std::from_chars(first, last, real))) refuse("not a number");
    return real;
  }

  std::string string() {
    const auto start = at_++;
    while (peek() != '"') {
      if (at_ >= text_.size()) refuse("a string has no end");
      at_ += peek() == '\\' ? 2 : 1;
    }
    ++at_;
    const auto raw = text_.substr(start, at_ - start);
    if (raw.find('\\') == std::string_view::npos) return std::string(raw.substr(1, raw.size() - 2));
    return std::string(json::parse(json::string_view(raw.data(), raw.size())).as_string());
  }

  json::value object() {
    json::object out;
    ++at_;
    if (take('}')) return out;
    do {
      skip_space();
      if (peek() != '"') refuse("a key must be a string");
      auto key = string();
      if (!take(':')) refuse("':' is missing");
      out.insert_or_assign(std::move(key), read());
    } while (take(','));
    if (!take('}')) refuse("'}' is missing");
    return out;
  }

  json::value array() {
    json::array out;
    ++at_;
    if (take(']')) return out;
    do out.push_back(read());
    while (take(','));
    if (!take(']')) refuse("']' is missing");
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::string shown(const json::value& value) {
  if (value.is_double()) {
    std::ostringstream out;
    out.precision(17);
    out << value.get_double() << " (double)";
    return out.str();
  }
  auto text = json::serialize(value);
  return text.size() > 200 ? text.substr(0, 200) + "..." : text;
}

std::string differ(const std::string& path, const json::value& expected, const json::value& actual) {
  return path + ": expected " + shown(expected) + ", got " + shown(actual);
}

std::string difference_at(const std::string& path, const json::value& expected, const json::value& actual) {
  if (expected.is_object() && actual.is_object()) {
    for (const auto& [key, value] : expected.get_object()) {
      const auto* other = actual.get_object().if_contains(key);
      const auto below = path + "/" + std::string(key);
      if (other == nullptr) return below + ": missing, expected " + shown(value);
      if (auto found = difference_at(below, value, *other); !found.empty()) return found;
    }
    for (const auto& [key, value] : actual.get_object())
      if (!expected.get_object().contains(key))
        return path + "/" + std::string(key) + ": not expected, got " + shown(value);
    return {};
  }
  if (expected.is_array() && actual.is_array()) {
    const auto &left = expected.get_array(), &right = actual.get_array();
    for (std::size_t i = 0; i < left.size() && i < right.size(); ++i)
      if (auto found = difference_at(path + "/" + std::to_string(i), left[i], right[i]); !found.empty()) return found;
    if (left.size() == right.size()) return {};
    return path + ": expected " + std::to_string(left.size()) + " elements, got " + std::to_string(right.size());
  }
  if (expected.is_double() && actual.is_double()) {
    const double left = expected.get_double(), right = actual.get_double();
    const bool same = (std::isnan(left) && std::isnan(right)) ||
                      std::bit_cast<std::uint64_t>(left) == std::bit_cast<std::uint64_t>(right);
    return same ? std::string() : differ(path, expected, actual);
  }
  if (expected.is_double() != actual.is_double() || expected != actual) return differ(path, expected, actual);
  return {};
}

}  // namespace

json::value parse_json(std::string_view text) {
  return Parser(text).document();
}

json::value read_json(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  std::ostringstream text;
  text << in.rdbuf();
  return parse_json(text.str());
}

std::string first_difference(const json::value& expected, const json::value& actual) {
  return difference_at("", expected, actual);
}

}  // namespace neptune::testing
