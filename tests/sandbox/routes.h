#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tests/sandbox/world.h"

/// What the JSON areas of the API have in common: calls with refusals, and calls that the state file replays.
namespace neptune::sandbox {

/// Thrown by a handler: the answer that refuses the call.
struct Refusal {
  Response response;
};
[[noreturn]] void refuse(unsigned status, std::string_view error_type, const std::string& message);

/// How /api/*/swagger.json describes a call. `parameters`: names with a space between them, each with '!' when it is
/// required; "@name" is the body, an object ("@[]name" an array of strings, "@[{}]name" of objects), "[]name" comes
/// many times, "#name" is an integer, "%name" any number, "?name" a boolean, "^name" a header ("^?name" of that type);
/// those in the path go without saying. `answer`: a definition,
/// "[Definition]" for an array of them, "file" for bytes, or nothing.
struct Description {
  std::string operation, parameters, answer;
};

using Handler = std::function<Response(const Request&)>;

/// A call that changes nothing.
void add_read(World& world, std::string method, std::string pattern, Description description, Handler handle);
/// A call that the state file keeps when it succeeded.
void add_write(World& world, std::string method, std::string pattern, Description description, Handler handle,
               std::size_t max_body = std::size_t{8} << 20);

Response answer(const boost::json::value& body);
/// 200 without a body.
Response done();

boost::json::value parse_body(const Request& request);
/// The body, which must be an object.
boost::json::object object_body(const Request& request);
/// The member as a string; refuses another type, and nothing where `required`.
std::string string_of(const boost::json::object& object, std::string_view key, bool required = true);
std::optional<std::string> optional_string(const boost::json::object& object, std::string_view key);
/// The query's number, or `otherwise`.
std::int64_t number_of(const Request& request, const std::string& name, std::int64_t otherwise);

/// Refuses when the workspace or the project is read-only.
void require_writable(World& world, const ProjectName& name);
/// The project of `projectIdentifier`; refuses when there is none.
Project& project_of(World& world, const Request& request);
Project& project_named(World& world, const std::string& identifier);
/// By its id, or by "workspace/project/SHORT-ID".
Container& container_named(World& world, const std::string& identifier);
/// The container that a call about attributes is about.
Container& container_of(World& world, const Request& request);
[[noreturn]] void refuse_missing_attribute(const Request& request);
/// What was logged under `attribute` of that container; refuses nothing, and another type.
template <class T>
const T& attribute_of(World& world, const Request& request) {
  const auto& fields = container_of(world, request).fields;
  const auto found = fields.find(request.query_value("attribute"));
  if (found == fields.end()) refuse_missing_attribute(request);
  const auto* value = std::get_if<T>(&found->second);
  if (value == nullptr) refuse(422, "INVALID_ATTRIBUTE_TYPE", "the attribute is of another type");
  return *value;
}
/// Made when it is missing and any workspace may come into being.
Workspace& workspace_named(World& world, const std::string& identifier);

bool valid_key(std::string_view key);
/// "viewer", "member" or "manager" in `role`; refuses anything else.
std::string role_of(const boost::json::object& body);

/// RFC 3339.
std::string time_text(std::int64_t ms);

}  // namespace neptune::sandbox
