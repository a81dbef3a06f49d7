#include "tests/unit/sandbox/described.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "tests/integration/support/json.h"

namespace neptune::sandbox {

namespace json = boost::json;
using testing::HttpAnswer;
using testing::HttpRequest;

namespace {

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? std::string(1, c)
                                                            : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

void add_to_query(std::string& target, const std::string& name, const json::value& value) {
  if (const auto* list = value.if_array()) {
    for (const auto& each : *list) add_to_query(target, name, each);
    return;
  }
  target += target.find('?') == std::string::npos ? '?' : '&';
  target += encoded(name) + "=" + encoded(text_of(value));
}

void replace(std::string& text, const std::string& what, const std::string& by) {
  if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
}

void put(HttpRequest& request, const std::string& in, const std::string& name, const json::value& value) {
  if (in == "query") add_to_query(request.target, name, value);
  if (in == "path") replace(request.target, "{" + name + "}", encoded(text_of(value)));
  if (in == "header") request.headers[name] = text_of(value);
  if (in == "body") request.body = json::serialize(value);
}

bool is_of_type(const json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

class Look {
 public:
  explicit Look(const json::object& definitions) : definitions_(definitions) {}

  std::string at(const json::value& given, const json::value& value, const std::string& place) const {
    const auto& schema = resolved(given.as_object());
    if (value.is_null())
      return schema.contains("x-nullable") ? std::string() : place + ": it is null, which the schema does not allow";
    const auto type = text_of(schema.at("type"));
    if (!is_of_type(value, type)) return fmt::format("{}: {} is not of type {}", place, json::serialize(value), type);
    static const std::regex time(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)");
    if (schema.contains("format") && !std::regex_match(text_of(value), time))
      return fmt::format("{}: {} is no time", place, json::serialize(value));
    if (type == "array") return elements(schema, value.get_array(), place);
    return type == "object" ? members(schema, value.get_object(), place) : std::string();
  }

 private:
  const json::object& resolved(const json::object& schema) const {
    const auto* reference = schema.if_contains("$ref");
    return reference == nullptr
               ? schema
               : definitions_.at(std::string_view(reference->as_string()).substr(std::size("#/definitions/") - 1))
                     .as_object();
  }
  std::string elements(const json::object& schema, const json::array& values, const std::string& place) const {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (auto wrong = at(schema.at("items"), values[i], fmt::format("{}/{}", place, i)); !wrong.empty()) return wrong;
    return {};
  }
  std::string members(const json::object& schema, const json::object& value, const std::string& place) const {
    const auto* named = schema.if_contains("properties");
    if (named == nullptr) return {};
    for (const auto& name : schema.at("required").as_array())
      if (!value.contains(name.as_string())) return fmt::format("{}/{}: it is missing", place, text_of(name));
    for (const auto& [name, member] : value) {
      const auto inner = fmt::format("{}/{}", place, std::string_view(name));
      const auto* described = named->as_object().if_contains(name);
      if (described == nullptr) return inner + ": the schema does not name it";
      if (auto wrong = at(*described, member, inner); !wrong.empty()) return wrong;
    }
    return {};
  }

  const json::object& definitions_;
};

}  // namespace

std::string not_as_described(const json::value& schema, const json::object& definitions, const json::value& value) {
  return Look(definitions).at(schema, value, "");
}

DescribedClient::DescribedClient(const testing::Sandbox& sandbox) : sandbox_(sandbox) {
  for (const auto* area : {"backend", "leaderboard"}) {
    const auto answer = sandbox.call({"GET", std::string("/api/") + area + "/swagger.json", {}, {}});
    const auto described = json::parse(answer.body).as_object();
    definitions_ = described.at("definitions").as_object();
    for (const auto& [path, methods] : described.at("paths").as_object())
      for (const auto& [method, operation] : methods.as_object()) {
        auto verb = std::string(method);
        std::transform(verb.begin(), verb.end(), verb.begin(), [](unsigned char c) { return std::toupper(c); });
        operations_[text_of(operation.at("operationId"))] = {verb, path, operation.as_object()};
      }
  }
}

const DescribedClient::Operation& DescribedClient::operation(const std::string& id) const {
  const auto found = operations_.find(id);
  if (found == operations_.end()) throw std::invalid_argument("the server describes no operation " + id);
  return found->second;
}

HttpAnswer DescribedClient::send(const std::string& id, const Given& given) const {
  const auto& [method, path, description] = operation(id);
  HttpRequest request{method, path, {{"Content-Type", "application/json"}}, {}};
  auto left = given;
  for (const auto& parameter : description.at("parameters").as_array()) {
    const auto name = text_of(parameter.at("name")), in = text_of(parameter.at("in"));
    const auto* value = left.if_contains(name);
    if (value != nullptr && !value->is_null()) {
      const auto& schema = in == "body" ? parameter.at("schema").as_object() : parameter.as_object();
      EXPECT_TRUE(is_of_type(*value, text_of(schema.at("type")))) << id << ": " << name;
      put(request, in, name, *value);
    } else {
      EXPECT_FALSE(parameter.at("required").as_bool()) << id << " must be told " << name;
    }
    left.erase(name);
  }
  for (const auto& [name, value] : left) ADD_FAILURE() << id << " takes no " << name;
  return sandbox_.call(std::move(request));
}

json::value DescribedClient::call(const std::string& id, const Given& given) const {
  const auto answer = send(id, given);
  EXPECT_EQ(answer.status, 200u) << id << ": " << answer.body;
  const auto* schema = operation(id).description.at("responses").at("200").as_object().if_contains("schema");
  if (answer.status != 200 || schema == nullptr) {
    EXPECT_TRUE(answer.status != 200 || answer.body.empty()) << id << " answers what is not described";
    return {};
  }
  auto value = testing::parse_json(answer.body);
  EXPECT_EQ(not_as_described(*schema, definitions_, value), "") << id;
  return value;
}

HttpAnswer DescribedClient::by_hand(const std::string& id, const Given& query, const std::string& body,
                                    std::map<std::string, std::string> headers) const {
  const auto& found = operation(id);
  HttpRequest request{found.method, found.path, std::move(headers), body};
  for (const auto& [name, value] : query) add_to_query(request.target, name, value);
  return sandbox_.call(std::move(request));
}

}  // namespace neptune::sandbox
