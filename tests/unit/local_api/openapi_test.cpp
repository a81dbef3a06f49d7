#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

#include "changes/change.h"
#include "changes/change_json.h"
#include "changes/kinds.h"
#include "client/lib/json.h"
#include "core/types.h"
#include "local_api/impl/routes.h"

// docs/openapi.json says what the front door does, and nothing else.
namespace neptune::local_api {
namespace {

namespace json = boost::json;
using Names = std::set<std::string>;

const json::object& document() {
  static const json::value parsed = [] {
    std::ostringstream text;
    text << std::ifstream(NEPTUNE_DOCS "/openapi.json").rdbuf();
    return json::parse(text.str());
  }();
  return parsed.as_object();
}

std::string text(const json::value& value) {
  return json::value_to<std::string>(value);
}

/// "/v1/rejected/{id}/retry" as the route table writes it.
std::string pattern_of(std::string_view path) {
  std::string pattern;
  bool inside = false;
  for (const char c : path) {
    if (c == '}') inside = false;
    if (!inside) pattern += c;
    if (c == '{') inside = true;
  }
  return pattern;
}

const json::object& operation(const Route& route) {
  for (const auto& [path, methods] : document().at("paths").as_object()) {
    if (pattern_of(path) != route.pattern) continue;
    return methods.as_object().at(route.method == "GET" ? "get" : "post").as_object();
  }
  throw std::out_of_range(std::string(route.pattern));
}

const json::object& schema(const std::string& name) {
  return document().at("components").as_object().at("schemas").as_object().at(name).as_object();
}

/// The properties of a schema, those of the schemas it is made of included.
Names properties(const json::object& from) {
  Names names;
  if (const auto* own = from.if_contains("properties"))
    for (const auto& [key, value] : own->as_object()) names.emplace(key);
  if (const auto* parts = from.if_contains("allOf"))
    for (const auto& part : parts->as_array()) {
      const auto* reference = part.as_object().if_contains("$ref");
      names.merge(properties(reference ? schema(text(*reference).substr(21)) : part.as_object()));
    }
  return names;
}

Names keys(const std::string& object) {
  Names names;
  const auto parsed = json::parse(object);
  for (const auto& [key, value] : parsed.as_object()) names.emplace(key);
  return names;
}

void collect_references(const json::value& value, Names& into) {
  if (const auto* array = value.if_array())
    for (const auto& each : *array) collect_references(each, into);
  if (const auto* object = value.if_object())
    for (const auto& [key, each] : *object) {
      if (key == "$ref") into.insert(text(each));
      collect_references(each, into);
    }
}

TEST(OpenApi, HasEveryRouteAndNoOther) {
  Names described, served;
  for (const auto& [path, methods] : document().at("paths").as_object())
    for (const auto& [method, what] : methods.as_object())
      if (method != "parameters") described.insert(std::string(method) + " " + pattern_of(path));
  for (const auto& route : routes())
    served.insert((route.method == "GET" ? "get " : "post ") + std::string(route.pattern));
  EXPECT_EQ(described, served);
}

TEST(OpenApi, HasEveryParameterOfAQueryAndNoOther) {
  for (const auto& route : routes()) {
    Names described;
    if (const auto* parameters = operation(route).if_contains("parameters"))
      for (const auto& parameter : parameters->as_array())
        if (text(parameter.as_object().at("in")) == "query") described.insert(text(parameter.as_object().at("name")));
    EXPECT_EQ(described, Names(route.parameters.begin(), route.parameters.end())) << route.pattern;
  }
}

TEST(OpenApi, NamesEachKindOfChangeInASchemaOfItsOwn) {
  Names described, known;
  for (const auto& one : schema("Change").at("oneOf").as_array()) {
    const auto& kind = schema(text(one.as_object().at("$ref")).substr(21));
    described.insert(text(kind.at("properties").as_object().at("kind").as_object().at("const")));
  }
  for (const auto kind : every_kind())
    if (const auto word = name(kind); change_kind(word)) known.emplace(word);
  EXPECT_EQ(described, known);
}

/// The names that the parser says it knows where it found one that it does not: its own word on what may stand there.
Names known_beside_an_unknown(const json::object& body) {
  const auto parsed = parse_changes(json::serialize(body), ChangesFormat::json, {});
  const std::string words = parsed ? std::string() : parsed.error().message;
  const std::string before = "here. Known are ";
  const auto at = words.find(before);
  if (at == std::string::npos) return {words};
  Names names;
  std::istringstream list(words.substr(at + before.size()));
  for (std::string name; list >> name;) names.insert(name.substr(0, name.find_first_of(",.")));
  return names;
}

const json::object unknown{{"no such thing", 1}};

/// A change of the kind with what it cannot do without.
json::object least_of(const json::object& kind) {
  const auto& fields = kind.at("properties").as_object();
  json::object body{{"kind", fields.at("kind").as_object().at("const")}};
  for (const auto& name : kind.at("required").as_array()) {
    const auto field = text(name);
    if (field != "kind") body[field] = field == "project" ? "ml-team/lab" : field == "model_version" ? "M-1" : "M";
  }
  if (fields.contains("append")) body["append"] = {{"points", 1}};
  if (fields.contains("step")) body["step"] = 1;
  return body;
}

/// The kinds' schemas, by their word.
std::map<std::string, json::object> kinds_of_changes() {
  std::map<std::string, json::object> kinds;
  for (const auto& one : schema("Change").at("oneOf").as_array()) {
    const auto& kind = schema(text(one.as_object().at("$ref")).substr(21));
    kinds[text(kind.at("properties").as_object().at("kind").as_object().at("const"))] = kind;
  }
  return kinds;
}

/// The examples of the page, by their kind: changes that are taken.
std::multimap<std::string, json::object> examples_of_changes() {
  std::ifstream page(NEPTUNE_DOCS "/local-api.md");
  std::multimap<std::string, json::object> examples;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with(R"({"kind": )")) continue;
    const auto example = json::parse(line).as_object();
    examples.emplace(text(example.at("kind")), example);
  }
  return examples;
}

bool is_taken(const json::object& change) {
  return parse_changes(json::serialize(change), ChangesFormat::json, {}).has_value();
}

/// What the parser takes of fields that it does not name with those of a kind: they are read of every change.
Names taken_of_every_change(const std::string& kind) {
  Names taken;
  const auto examples = examples_of_changes();
  for (auto [it, end] = examples.equal_range(kind); it != end; ++it) {
    EXPECT_TRUE(is_taken(it->second)) << json::serialize(it->second);
    auto without_kind = it->second;
    without_kind.erase("kind");
    if (!is_taken(without_kind)) taken.insert("kind");
    for (const auto& [field, value] :
         {std::pair<const char*, json::value>("idempotency_key", "once"), {"discard_pending", true}}) {
      auto with = it->second;
      with[field] = value;
      if (is_taken(with)) taken.insert(field);
    }
  }
  return taken;
}

TEST(OpenApi, HasEachFieldOfAChangeAndNoOther) {
  for (const auto& [word, kind] : kinds_of_changes()) {
    const auto described = properties(kind);
    json::object body{{"kind", word}, {"no such thing", 1}};
    if (described.contains("project")) body["project"] = "ml-team/lab";
    auto known = known_beside_an_unknown(body);
    known.merge(taken_of_every_change(word));
    EXPECT_EQ(described, known) << word;
  }
}

/// The objects with members of their own that a field may hold: itself, one of several forms, or at each of its paths.
struct Held {
  Names members;
  bool at_paths = false;
};
std::optional<Held> held_in(const json::object& field) {
  if (field.contains("properties")) return Held{properties(field)};
  if (const auto* forms = field.if_contains("oneOf"))
    for (const auto& form : forms->as_array())
      if (auto held = held_in(form.as_object())) return held;
  const auto* each = field.if_contains("additionalProperties");
  if (each && each->is_object() && each->as_object().contains("properties"))
    return Held{properties(each->as_object()), true};
  return std::nullopt;
}

TEST(OpenApi, HasEachMemberOfWhatAFieldOfAChangeHoldsAndNoOther) {
  Names looked_at;
  for (const auto& [word, kind] : kinds_of_changes())
    for (const auto& [field, about] : kind.at("properties").as_object()) {
      const auto held = held_in(about.as_object());
      if (!held) continue;
      looked_at.emplace(field);
      auto body = least_of(kind);
      body[field] = held->at_paths ? json::object{{"a/path", unknown}} : unknown;
      EXPECT_EQ(held->members, known_beside_an_unknown(body)) << word << ' ' << field;
    }
  EXPECT_EQ(looked_at, (Names{"configure", "fork", "preview", "tags"}));
}

TEST(OpenApi, AnswersHaveTheMembersTheyHave) {
  EXPECT_EQ(properties(schema("Status")), keys(api::to_json(api::Status{})));
  EXPECT_EQ(properties(schema("Totals")), keys(api::to_json(api::Totals{})));
  EXPECT_EQ(properties(schema("WorkspaceStatus")), keys(api::to_json(api::WorkspaceStatus{})));
  EXPECT_EQ(properties(schema("WorkspaceList")), keys(api::to_json(api::WorkspaceList{})));
  EXPECT_EQ(properties(schema("Stream")),
            keys(json::serialize(json::parse(api::to_json(api::StreamList{{{}}})).at("streams").at(0))));
  EXPECT_EQ(properties(schema("Diagnosis")), keys(api::to_json(api::Diagnosis{})));
  EXPECT_EQ(properties(schema("TidyReply")), keys(api::to_json(api::TidyReply{})));
  EXPECT_EQ(properties(schema("TidyItem")),
            keys(json::serialize(json::parse(api::to_json(api::TidyReply{{{}}})).at("found").at(0))));
  EXPECT_EQ(properties(schema("ChangePlace")), keys(api::to_json(api::ChangePlace{})));
  EXPECT_EQ(properties(schema("StreamList")), keys(api::to_json(api::StreamList{})));
  EXPECT_EQ(properties(schema("Rejected")), keys(api::to_json(api::Rejected{})));
  EXPECT_EQ(properties(schema("RejectedList")), keys(api::to_json(api::RejectedList{})));
  EXPECT_EQ(properties(schema("RejectedReply")), keys(api::to_json(api::RejectedReply{})));
  EXPECT_EQ(properties(schema("ServerProjectList")), keys(api::to_json(api::ServerProjectList{})));
  EXPECT_EQ(properties(schema("MemberList")), keys(api::to_json(api::MemberList{})));
  EXPECT_EQ(properties(schema("Event")), keys(api::to_json(api::Event{})));
  EXPECT_EQ(properties(schema("FlushReply")), keys(api::to_json(api::FlushReply{})));
  EXPECT_EQ(properties(schema("ScopeReply")), keys(api::to_json(api::ScopeReply{})));
  EXPECT_EQ(properties(schema("ReleasePlan")), keys(api::to_json(api::ReleasePlan{})));
  EXPECT_EQ(properties(schema("SubmitReply")), keys(api::to_json(api::SubmitReply{})));
}

TEST(OpenApi, HasAWordForEveryReasonAStreamCanWait) {
  Names words;
  const auto& own = schema("Stream").at("allOf").at(1).at("properties").at("waiting_for").at("enum");
  for (const auto& word : own.as_array()) words.insert(text(word));
  const auto word = [](int number) { return std::string(core::word(static_cast<core::Wait>(number))); };
  int known = 1;
  // Past the last it is none.
  for (; word(known) != word(0); ++known) EXPECT_TRUE(words.contains(word(known))) << known;
  EXPECT_GT(known, 17);
}

TEST(OpenApi, EveryReasonIsExplainedToOperators) {
  std::ostringstream page;
  page << std::ifstream(NEPTUNE_DOCS "/operations.md").rdbuf();
  const auto& own = schema("Stream").at("allOf").at(1).at("properties").at("waiting_for").at("enum");
  for (const auto& word : own.as_array()) EXPECT_NE(page.str().find("`" + text(word) + "`"), std::string::npos) << word;
}

/// Whether docs/local-api.md has a route, by itself or behind one in whose row it stands, whole or by its end:
/// "`POST /v1/scopes/{scope}/hold` · `/release`".
bool is_on(const std::string& page, const std::string& method, const std::string& path) {
  for (const auto& shown : {"`" + method + " " + path, "· `" + path, "· `" + path.substr(path.rfind('/'))})
    if (page.find(shown) != std::string::npos) return true;
  return false;
}

TEST(OpenApi, HasTheRoutesOfThePageAndThePageHasAll) {
  std::ostringstream text_of_page;
  text_of_page << std::ifstream(NEPTUNE_DOCS "/local-api.md").rdbuf();
  const auto page = text_of_page.str();
  Names there;
  for (const auto& [path, methods] : document().at("paths").as_object())
    for (const auto& [word, method] : {std::pair{"get", "GET"}, std::pair{"post", "POST"}}) {
      const auto* about = methods.as_object().if_contains(word);
      if (!about) continue;
      there.insert(std::string(method) + " " + std::string(path));
      EXPECT_TRUE(is_on(page, method, path)) << method << ' ' << path;
      const auto* parameters = about->as_object().if_contains("parameters");
      for (const auto& one : parameters ? parameters->as_array() : json::array())
        if (one.at("in") == "query") {
          EXPECT_NE(page.find(text(one.at("name")) + "="), std::string::npos) << path << ' ' << one.at("name");
        }
    }
  const std::regex route("`((GET|POST) /[^`?]+)");
  for (std::sregex_iterator it(page.begin(), page.end(), route), end; it != end; ++it)
    EXPECT_TRUE(there.contains((*it)[1].str())) << (*it)[1];
}

TEST(OpenApi, RefersOnlyToWhatItHas) {
  Names references;
  collect_references(document(), references);
  EXPECT_FALSE(references.empty());
  for (const auto& reference : references) {
    boost::system::error_code error;
    json::value(document()).find_pointer(reference.substr(1), error);
    EXPECT_FALSE(error) << reference;
  }
}

}  // namespace
}  // namespace neptune::local_api
