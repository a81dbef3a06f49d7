#include "changes/impl/values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "changes/impl/fields.h"
#include "changes/limits.h"

namespace neptune::changes {

namespace {

const std::vector<std::string_view> kTypes{"float", "int", "string", "bool", "datetime", "string_set", "histogram"};

constexpr std::string_view or_as_float = R"(; give {"type": "float", "value": ..} if the nearest float will do)";

/// `otherwise`: what else can be given for one that is too large.
template <class T>
std::optional<T> read_whole(const Json& value, const std::string& field, std::string_view otherwise, Verdict& verdict) {
  if (!value.is_whole_number()) {
    verdict.refuse("wrong_type",
                   fmt::format("'{}' is {}; give a whole number.", field,
                               value.is(Json::Type::number) ? quoted(value.text) : std::string(describe(value.type))),
                   field);
    return std::nullopt;
  }
  T out = 0;
  const auto text = std::string_view(value.text).substr(value.text == "-0" ? 1 : 0);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  if (read.ec != std::errc()) {
    verdict.refuse("integer_out_of_range",
                   fmt::format("The whole number {} is out of range, which is {} to {}{}.", quoted(value.text),
                               std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), otherwise),
                   field);
    return std::nullopt;
  }
  return out;
}

std::vector<double> read_doubles(const Json& list, const std::string& field, Verdict& verdict) {
  std::vector<double> out;
  out.reserve(list.members.size());
  for (const auto& item : list.members) out.push_back(read_double(item.value, field, verdict).value_or(0));
  return out;
}

std::vector<std::uint64_t> read_counts(const Json& list, const std::string& field, Verdict& verdict) {
  std::vector<std::uint64_t> out;
  for (const auto& item : list.members) {
    if (item.value.is_whole_number() && item.value.text.starts_with('-') && item.value.text != "-0")
      verdict.refuse("histogram_counts",
                     fmt::format("A histogram's count is {}; counts begin at 0.", quoted(item.value.text)), field);
    else
      out.push_back(read_whole<std::uint64_t>(item.value, field, {}, verdict).value_or(0));
  }
  return out;
}

void check_edges(const std::vector<double>& edges, const std::string& field, Verdict& verdict) {
  if (edges.size() < 2 || edges.size() > limits::histogram_bin_edges)
    return verdict.refuse("histogram_bin_edges",
                          fmt::format("A histogram has {} bin edges here; it must have 2 to {}.", edges.size(),
                                      limits::histogram_bin_edges),
                          field);
  for (std::size_t i = 1; i < edges.size(); ++i)
    if (edges[i] <= edges[i - 1])
      return verdict.refuse(
          "histogram_bin_edges",
          fmt::format("The histogram's bin edges do not increase from {} to {}; sort them, each once.", edges[i - 1],
                      edges[i]),
          field);
}

Histogram read_histogram(const Json& value, const std::string& field, Verdict& verdict) {
  Histogram out;
  if (!value.is(Json::Type::object)) {
    verdict.refuse("wrong_type",
                   fmt::format("A histogram is an object {{\"bin_edges\": [..], \"counts\": [..]}}; {} "
                               "was given.",
                               describe(value.type)),
                   field);
    return out;
  }
  Fields fields(value, field + ".", verdict);
  fields.only({"bin_edges", "counts", "densities"});
  out.edges = read_doubles(fields.require("bin_edges", Json::Type::array), fields.path("bin_edges"), verdict);
  check_edges(out.edges, fields.path("bin_edges"), verdict);
  const auto* counts = fields.optional("counts", Json::Type::array);
  const auto* densities = fields.optional("densities", Json::Type::array);
  if (!counts == !densities)
    verdict.refuse("histogram_values", "A histogram has either \"counts\" or \"densities\"; give one of them.", field);
  if (counts) out.counts = read_counts(*counts, fields.path("counts"), verdict);
  if (densities) out.densities = read_doubles(*densities, fields.path("densities"), verdict);
  const auto values = counts ? out.counts.size() : out.densities.size();
  if (values + 1 != out.edges.size())
    verdict.refuse("histogram_values",
                   fmt::format("The histogram has {} bin edges and {} values; it takes one value less than edges.",
                               out.edges.size(), values),
                   field);
  return out;
}

Value read_typed(const Json& typed, const std::string& field, Verdict& verdict) {
  Fields fields(typed, field + ".", verdict);
  const auto type = fields.required_text("type");
  const auto& value = *typed.find("value");
  const auto inner = fields.path("value");
  if (type == "float") return read_double(value, inner, verdict).value_or(0);
  if (type == "int") return read_whole<std::int64_t>(value, inner, or_as_float, verdict).value_or(0);
  if (type == "bool") return fields.require("value", Json::Type::boolean).truth;
  if (type == "datetime") return read_moment(value, inner, verdict);
  if (type == "histogram") return read_histogram(value, inner, verdict);
  if (type == "string") {
    auto text = fields.required_text("value");
    check_string(text, inner, verdict);
    return text;
  }
  if (type == "string_set") {
    StringSet set;
    // An empty set is a value: the field is there, without strings.
    if (!value.is(Json::Type::array) || !value.members.empty()) set.values = read_texts(value, inner, verdict);
    for (const auto& each : set.values) check_string(each, inner, verdict);
    return set;
  }
  verdict.refuse("unknown_type", fmt::format("There is no type {} of values.{}", quoted(type), hint(type, kTypes)),
                 fields.path("type"));
  return false;
}

}  // namespace

bool is_typed(const Json& value) {
  return value.is(Json::Type::object) && value.members.size() == 2 && value.find("type") && value.find("value");
}

bool is_point(const Json& value) {
  return value.is(Json::Type::object) && value.members.size() > 1 && value.find("value");
}

void refuse_unknown_in_point(const Json& point, const std::vector<std::string_view>& known, const std::string& field,
                             Verdict& verdict) {
  for (const auto& member : point.members)
    if (std::find(known.begin(), known.end(), member.name) == known.end())
      return verdict.refuse("unknown_field",
                            fmt::format("There is no {} beside the 'value' of a point; known are {}. For series of "
                                        "these names write their paths, as {}.",
                                        quoted(member.name), fmt::join(known, ", "),
                                        quoted(field.substr(field.find('.') + 1) + "/value")),
                            field + "." + member.name);
}

std::optional<double> read_double(const Json& value, const std::string& field, Verdict& verdict) {
  if (!value.is(Json::Type::number)) {
    const bool finite = value.text != "NaN" && value.text.find("nf") == std::string::npos;
    verdict.refuse(finite ? "wrong_type" : "not_finite",
                   finite ? fmt::format("'{}' is {}; give a number.", field, describe(value.type))
                          : fmt::format("{} is not finite, and the server takes no such numbers; leave it out.",
                                        quoted(value.text)),
                   field);
    return std::nullopt;
  }
  double out = 0;
  const auto read = std::from_chars(value.text.data(), value.text.data() + value.text.size(), out);
  if (read.ec != std::errc()) {
    verdict.refuse(
        "not_finite",
        fmt::format("The number {} is too large or too small for a float; leave it out.", quoted(value.text)), field);
    return std::nullopt;
  }
  return out;
}

std::optional<std::int64_t> read_integer(const Json& value, const std::string& field, Verdict& verdict) {
  return read_whole<std::int64_t>(value, field, {}, verdict);
}

Value read_value(const Json& value, Numbers numbers, const std::string& field, Verdict& verdict) {
  switch (value.type) {
    case Json::Type::boolean:
      return value.truth;
    case Json::Type::number:
      if (numbers == Numbers::as_written && value.is_whole_number())
        return read_whole<std::int64_t>(value, field, or_as_float, verdict).value_or(0);
      return read_double(value, field, verdict).value_or(0);
    case Json::Type::string:
      check_string(value.text, field, verdict);
      return value.text;
    case Json::Type::object:
      if (is_typed(value)) return read_typed(value, field, verdict);
      break;
    case Json::Type::null:
    case Json::Type::array:
      break;
  }
  verdict.refuse("wrong_type",
                 fmt::format("'{}' is {}; give a number, a string, true or false, or {{\"type\": .., \"value\": ..}}.",
                             field, describe(value.type)),
                 field);
  return false;
}

namespace {

struct Walk {
  const std::string& name;
  const std::function<bool(const Json&)>& is_leaf;
  const std::function<void(const std::string&, const Json&, const std::string&)>& take;
  Verdict& verdict;
  std::unordered_set<std::string> seen{};

  void go(const Json& object, const std::string& prefix) {
    for (const auto& member : object.members) {
      if (!verdict.ok()) return;
      const auto path = prefix + member.name;
      const auto field = name + "." + path;
      if (member.name.empty())
        return verdict.refuse("empty_path", "A part of a field's path is empty; name it.", field);
      if (member.value.is(Json::Type::object) && !is_leaf(member.value)) {
        if (member.value.members.empty())
          return verdict.refuse("empty_object",
                                fmt::format("{} is an empty object; give it fields, or leave it out.", quoted(path)),
                                field);
        go(member.value, path + "/");
        continue;
      }
      check_new_field_path(path, field, verdict);
      if (!seen.insert(path).second)
        return verdict.refuse(
            "duplicate_field",
            fmt::format("The field {} is given twice, once as a path and once nested; keep one.", quoted(path)), field);
      take(path, member.value, field);
    }
  }
};

}  // namespace

void each_field(const Json& section, const std::string& name, const std::function<bool(const Json&)>& is_leaf,
                const std::function<void(const std::string& path, const Json&, const std::string& field)>& take,
                Verdict& verdict) {
  if (section.members.empty())
    return verdict.refuse("empty_object", fmt::format("'{}' has no fields; give some, or leave it out.", name), name);
  Walk{name, is_leaf, take, verdict}.go(section, "");
}

}  // namespace neptune::changes
