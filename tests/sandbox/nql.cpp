#include "tests/sandbox/nql.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <regex>
#include <stdexcept>
#include <utility>

namespace neptune::sandbox {

namespace {

/// How a condition's value stands to the attribute's: negative, zero, positive; none: they cannot be compared.
std::optional<int> order(const Comparable& have, std::string_view given) {
  if (const auto* text = std::get_if<std::string>(&have)) return text->compare(given);
  double number = 0;
  const auto read = std::from_chars(given.data(), given.data() + given.size(), number);
  if (read.ec != std::errc() || read.ptr != given.data() + given.size()) return std::nullopt;
  const auto value = std::get<double>(have);
  return value < number ? -1 : value > number ? 1 : 0;
}

bool holds(const Field& field, std::string_view word, const std::string& given) {
  if (const auto* set = std::get_if<StringSet>(&field)) return word == "CONTAINS" && set->contains(given);
  auto value = comparable(&field);
  if (!value) return false;
  if (const auto* text = std::get_if<std::string>(&*value); text && word == "CONTAINS")
    return text->find(given) != std::string::npos;
  const bool is_time = std::holds_alternative<Datetime>(field);
  const auto at = order(*value, is_time ? std::string_view(given).substr(0, given.find('Z')) : std::string_view(given));
  if (!at) return false;
  return word == "="    ? *at == 0
         : word == "!=" ? *at != 0
         : word == ">"  ? *at > 0
         : word == "<"  ? *at < 0
         : word == ">=" ? *at >= 0
                        : word == "<=" && *at <= 0;
}

/// Recursive descent; throws std::invalid_argument where the text is none.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Condition all() {
    auto out = either();
    if (skip_spaces(); !rest_.empty()) expected("the end");
    return out;
  }

 private:
  Condition either() {
    auto out = both();
    while (take("OR"))
      out = [left = std::move(out), right = both()](const Attributes& of) { return left(of) || right(of); };
    return out;
  }
  Condition both() {
    auto out = one();
    while (take("AND"))
      out = [left = std::move(out), right = one()](const Attributes& of) { return left(of) && right(of); };
    return out;
  }
  Condition one() {
    if (take("NOT")) return [inner = one()](const Attributes& of) { return !inner(of); };
    if (!take("(")) return condition();
    auto out = either();
    if (!take(")")) expected("')'");
    return out;
  }
  Condition condition() {
    if (!take("`")) expected("an attribute in backquotes");
    auto path = until('`');
    if (take(":")) word();
    const bool negated = take("NOT");
    auto is = comparison();
    auto given = value();
    if (is == "MATCHES") return match(std::move(path), std::regex(given), negated);
    return [path = std::move(path), is = std::move(is), given = std::move(given), negated](const Attributes& of) {
      const auto* field = of.find(path);
      return field != nullptr && holds(*field, is, given) != negated;
    };
  }
  static Condition match(std::string path, std::regex pattern, bool negated) {
    return [path = std::move(path), pattern = std::move(pattern), negated](const Attributes& of) {
      const auto value = comparable(of.find(path));
      const auto* text = value ? std::get_if<std::string>(&*value) : nullptr;
      return text != nullptr && std::regex_search(*text, pattern) != negated;
    };
  }
  std::string comparison() {
    constexpr std::array<std::string_view, 8> words{">=", "<=", "!=", "=", ">", "<", "CONTAINS", "MATCHES"};
    for (const auto each : words)
      if (take(each)) return std::string(each);
    expected("a comparison");
  }
  std::string value() {
    skip_spaces();
    if (!take("\"")) return word();
    std::string out;
    for (; !rest_.empty() && rest_.front() != '"'; rest_.remove_prefix(1)) {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      out.push_back(rest_.front());
    }
    if (!take("\"")) expected("'\"'");
    return out;
  }
  std::string word() {
    skip_spaces();
    const auto end = std::min(rest_.find_first_of(" ()"), rest_.size());
    if (end == 0) expected("a word");
    return cut(end);
  }
  std::string until(char mark) {
    const auto end = rest_.find(mark);
    if (end == std::string_view::npos) expected(fmt::format("'{}'", mark));
    auto out = cut(end);
    rest_.remove_prefix(1);
    return out;
  }
  std::string cut(std::size_t size) {
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  bool take(std::string_view what) {
    skip_spaces();
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }
  void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size())); }
  [[noreturn]] void expected(std::string_view what) const {
    throw std::invalid_argument(fmt::format("there should be {} before '{}'", what, rest_));
  }

  std::string_view rest_;
};

class Order {
 public:
  using Result = std::optional<Comparable>;
  Result operator()(double value) const { return std::isnan(value) ? Result() : value; }
  Result operator()(std::int64_t value) const { return static_cast<double>(value); }
  Result operator()(bool value) const { return value ? "true" : "false"; }
  Result operator()(const std::string& value) const { return value; }
  // Without its end, so that a fraction of a second comes after none.
  Result operator()(const Datetime& value) const {
    auto text = value.text();
    text.pop_back();
    return text;
  }
  Result operator()(const Series<double>& series) const { return last(series); }
  Result operator()(const Series<std::string>& series) const { return last(series); }
  template <class T>
  Result operator()(const T&) const {
    return std::nullopt;
  }

 private:
  template <class T>
  static Result last(const Series<T>& series) {
    return series.points().empty() ? Result() : Order()(series.points().back().value);
  }
};

}  // namespace

std::optional<Comparable> comparable(const Field* field) {
  return field == nullptr ? std::nullopt : std::visit(Order(), *field);
}

Result<Condition> parse_query(std::string_view query) {
  if (query.find_first_not_of(' ') == std::string_view::npos) return [](const Attributes&) { return true; };
  try {
    return Parser(query).all();
  } catch (const std::exception& error) {
    return fail("syntax_error", error.what());
  }
}

}  // namespace neptune::sandbox
