// POST /sandbox/control: modes, quotas and faults. README.md documents every key.
#include <boost/json.hpp>
#include <functional>
#include <set>

#include "tests/sandbox/world.h"

namespace neptune::sandbox {

namespace json = boost::json;

namespace {

/// A control call that cannot be understood; its text is the answer.
struct Misunderstood : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string text(const json::value& value) {
  if (!value.is_string()) throw Misunderstood(json::serialize(value) + " must be a string");
  return std::string(value.get_string());
}

const json::array& list(const json::value& value) {
  if (!value.is_array()) throw Misunderstood(json::serialize(value) + " must be an array");
  return value.get_array();
}

bool truth(const json::value& value) {
  if (!value.is_bool()) throw Misunderstood(json::serialize(value) + " must be true or false");
  return value.get_bool();
}

template <class T>
T number(const json::value& value) {
  json::error_code error;
  const auto out = value.to_number<T>(error);
  if (error) throw Misunderstood(json::serialize(value) + " is not a number that fits here");
  return out;
}

std::optional<std::uint64_t> limit(const json::value& value) {
  if (value.is_null()) return std::nullopt;
  return number<std::uint64_t>(value);
}

IngestCode ingest_code(const json::value& value) {
  if (value.is_number()) return static_cast<IngestCode>(number<std::int32_t>(value));
  for (std::int32_t code = 0; code <= 64; ++code)
    if (name(static_cast<IngestCode>(code)) == text(value)) return static_cast<IngestCode>(code);
  throw Misunderstood("there is no IngestCode " + text(value));
}

/// The scope that "workspace" and "project" of an object name; empty when neither does. A project may be written in
/// full or as the name within "workspace".
Scope scope_of(const json::object& object) {
  std::string workspace, project;
  if (const auto* value = object.if_contains("workspace")) workspace = text(*value);
  if (const auto* value = object.if_contains("project")) project = text(*value);
  if (project.empty()) return {workspace, {}};
  const auto full = project.find('/') == std::string::npos ? workspace + "/" + project : project;
  const auto name = ProjectName::parse(full);
  if (!name) throw Misunderstood(name.error().message);
  return Scope::of(*name);
}

/// Applies each member of `object` by its key; nothing when one of the keys is unknown.
using Setters = std::map<std::string, std::function<void(const json::value&)>, std::less<>>;
void apply_all(const json::object& object, const Setters& setters, const char* where) {
  for (const auto& [key, value] : object)
    if (!setters.contains(std::string_view(key.data(), key.size())))
      throw Misunderstood("'" + std::string(key) + "' is not a key of " + where);
  for (const auto& [key, value] : object) setters.find(std::string_view(key.data(), key.size()))->second(value);
}

FaultEffect::Drop drop(const json::value& value) {
  const auto word = text(value);
  if (word == "mid_body") return FaultEffect::Drop::mid_body;
  if (word == "before_processing") return FaultEffect::Drop::before_processing;
  if (word == "before_answer") return FaultEffect::Drop::before_answer;
  if (word == "mid_answer") return FaultEffect::Drop::mid_answer;
  throw Misunderstood("'" + word +
                      "' is no place to drop a connection: mid_body, before_processing, before_answer, "
                      "mid_answer");
}

Fault fault_from(const json::object& object) {
  Fault fault;
  auto& effect = fault.effect;
  const auto scope = scope_of(object);
  fault.workspace = scope.workspace;
  if (!scope.is_workspace()) fault.project = scope.text();
  const auto ignored = [](const json::value&) {};
  apply_all(
      object,
      {{"workspace", ignored},
       {"project", ignored},
       {"path", [&](const auto& v) { fault.path = text(v); }},
       {"method", [&](const auto& v) { fault.method = text(v); }},
       {"skip", [&](const auto& v) { fault.skip = number<std::uint64_t>(v); }},
       {"times", [&](const auto& v) { fault.times = number<std::uint64_t>(v); }},
       {"probability", [&](const auto& v) { fault.probability = number<double>(v); }},
       {"drop", [&](const auto& v) { effect.drop = drop(v); }},
       {"status", [&](const auto& v) { effect.status = number<unsigned>(v); }},
       {"after_processing", [&](const auto& v) { effect.after_processing = truth(v); }},
       {"garbage", [&](const auto& v) { effect.garbage = truth(v); }},
       {"error_type", [&](const auto& v) { effect.error_type = text(v); }},
       {"message", [&](const auto& v) { effect.message = text(v); }},
       {"retry_after", [&](const auto& v) { effect.retry_after = number<unsigned>(v); }},
       {"late_ms", [&](const auto& v) { effect.late = std::chrono::milliseconds(number<std::uint32_t>(v)); }},
       {"delay_ms", [&](const auto& v) { effect.delay = std::chrono::milliseconds(number<std::uint32_t>(v)); }},
       {"read_bytes_per_second", [&](const auto& v) { effect.read_bytes_per_second = number<std::uint64_t>(v); }}},
      "a fault");
  return fault;
}

RejectRule reject_rule_from(const json::object& object) {
  RejectRule rule;
  rule.scope = scope_of(object);
  const auto ignored = [](const json::value&) {};
  apply_all(object,
            {{"workspace", ignored},
             {"project", ignored},
             {"path",
              [&](const auto& v) {
                rule.path = text(v);
                rule.prefix = rule.path.ends_with('*');
                if (rule.prefix) rule.path.pop_back();
              }},
             {"code", [&](const auto& v) { rule.code = ingest_code(v); }},
             {"run", [&](const auto& v) { rule.run = text(v); }}},
            "a reject rule");
  return rule;
}

void for_each(const json::value& one_or_many, const std::function<void(const json::object&)>& visit) {
  if (one_or_many.is_object()) return visit(one_or_many.get_object());
  if (!one_or_many.is_array()) throw Misunderstood("an object or an array of objects is needed");
  for (const auto& element : one_or_many.get_array()) {
    if (!element.is_object()) throw Misunderstood("an array of objects is needed");
    visit(element.get_object());
  }
}

/// The state of the scope, which comes into being if need be.
ScopeState& scope_state(World& world, const Scope& scope) {
  if (scope.workspace.empty()) throw Misunderstood("name the workspace or the project this is for");
  if (world.store.workspace(scope.workspace) == nullptr) {
    WorkspaceOption option;
    option.name = scope.workspace;
    world.store.put_workspace(option);
  }
  if (scope.is_workspace()) return world.store.workspace(scope.workspace)->state;
  return world.store.put_project({scope.workspace, scope.project}).state;
}

void set_mode(ScopeState& state, const json::value& value) {
  const auto word = text(value);
  if (word != "normal" && word != "read_only") throw Misunderstood("mode is normal or read_only");
  state.forced_read_only = word == "read_only";
  if (!state.forced_read_only) state.forced_reason.clear();
}

void set_style(ScopeState& state, const json::value& value) {
  auto style = AnswerStyle::parse(text(value));
  if (!style) throw Misunderstood(style.error().message);
  style->part = state.style.part;
  style->error_type = state.style.error_type;
  state.style = std::move(*style);
}

void delete_run(World& world, const json::value& value) {
  const auto path = text(value);
  const auto slash = path.rfind('/');
  const auto name = ProjectName::parse(std::string_view(path).substr(0, slash));
  if (slash == std::string::npos || !name) throw Misunderstood("delete_run takes workspace/project/run");
  if (!world.store.delete_run(*name, path.substr(slash + 1))) throw Misunderstood("there is no run " + path);
}

void set_processing(World& world, const Scope& scope, const json::value& value) {
  const auto word = text(value);
  if (word != "paused" && word != "running") throw Misunderstood("processing is paused or running");
  if (word == "paused")
    world.queue.pause(scope);
  else
    world.queue.resume(scope);
}

Setters lasting_setters(World& world, const Scope& scope) {
  const auto state = [&world, scope]() -> ScopeState& { return scope_state(world, scope); };
  const auto project = [&world, scope]() -> Project& {
    if (scope.is_workspace()) throw Misunderstood("name the project this is for");
    scope_state(world, scope);
    return *world.store.project({scope.workspace, scope.project});
  };
  const auto workspace = [&world, scope]() -> Workspace& {
    scope_state(world, Scope::of(scope.workspace));
    return *world.store.workspace(scope.workspace);
  };
  return {
      {"workspace", [state](const auto&) { state(); }},
      {"project", [state](const auto&) { state(); }},
      {"mode", [state](const auto& v) { set_mode(state(), v); }},
      {"reason", [state](const auto& v) { state().forced_reason = text(v); }},
      {"style", [state](const auto& v) { set_style(state(), v); }},
      {"part", [state](const auto& v) { state().style.part = number<double>(v); }},
      {"error_type", [state](const auto& v) { state().style.error_type = text(v); }},
      {"quota", [workspace](const auto& v) { workspace().state.limit = limit(v); }},
      {"type", [workspace](const auto& v) { workspace().type = text(v); }},
      {"storage_limit", [project](const auto& v) { project().state.limit = limit(v); }},
      {"archived", [project](const auto& v) { project().state.archived = truth(v); }},
      {"visibility", [project](const auto& v) { project().visibility = text(v); }},
      {"members",
       [workspace](const auto& v) {
         workspace().members.clear();
         for (const auto& user : list(v)) workspace().members.insert(text(user));
       }},
      {"service_accounts",
       [&world, workspace](const auto& v) {
         for (const auto& account : list(v)) world.store.add_service_account(workspace(), text(account), false);
       }},
      {"clean_up_delay_ms",
       [&world](const auto& v) { world.store.clean_up_delay = std::chrono::milliseconds(number<std::uint32_t>(v)); }},
      {"clean_up",
       [&world](const auto& v) {
         if (truth(v)) world.store.clean_up();
       }},
      {"clean_up_until", [&world](const auto& v) { world.store.clean_up(number<std::int64_t>(v)); }},
      {"storage_provider",
       [&world, workspace](const auto& v) {
         const auto kind = store_kind_named(text(v));
         if (!kind) throw Misunderstood("storage_provider is aws, gcp or azure");
         world.objects.kinds[workspace().name] = *kind;
       }},
      {"multipart_threshold",
       [&world](const auto& v) { world.objects.multipart_threshold = number<std::uint64_t>(v); }},
      {"multipart_part_size",
       [&world](const auto& v) {
         const auto size = number<std::uint64_t>(v);
         if (size == 0) throw Misunderstood("multipart_part_size is at least 1");
         world.objects.multipart_part_size = size;
       }},
      {"reuse_multipart", [&world](const auto& v) { world.objects.reuse_multipart = truth(v); }},
      {"ingestion", [&world](const auto& v) { world.ingestion = truth(v); }},
      {"max_operations", [&world](const auto& v) { world.max_operations = number<std::size_t>(v); }},
      {"nameless_errors", [&world](const auto& v) { world.nameless_errors = truth(v); }},
      {"increasing_steps", [&world](const auto& v) { world.increasing_steps = truth(v); }},
      {"delete_run", [&world](const auto& v) { delete_run(world, v); }},
      {"auto_create_projects", [&world](const auto& v) { world.store.auto_create_projects = truth(v); }},
      {"reject",
       [&world](const auto& v) {
         for_each(v, [&](const json::object& rule) { world.queue.rules.push_back(reject_rule_from(rule)); });
       }},
  };
}

Setters passing_setters(World& world, const Scope& scope) {
  const auto add_faults = [&world](const json::value& v) {
    for_each(v, [&](const json::object& fault) { world.faults.add(fault_from(fault)); });
  };
  return {
      {"fault", add_faults},
      {"faults", add_faults},
      {"seed", [&world](const auto& v) { world.faults.seed(number<std::uint64_t>(v)); }},
      {"processing", [&world, scope](const auto& v) { set_processing(world, scope, v); }},
      {"processing_delay_ms",
       [&world](const auto& v) { world.queue.delay = std::chrono::milliseconds(number<std::uint32_t>(v)); }},
      {"token_lifetime_s",
       [&world](const auto& v) {
         world.access.lifetime = std::chrono::milliseconds(static_cast<std::int64_t>(number<double>(v) * 1000));
       }},
      {"url_lifetime_ms",
       [&world](const auto& v) { world.objects.url_lifetime = std::chrono::milliseconds(number<std::uint32_t>(v)); }},
      {"expire_urls",
       [&world](const auto& v) {
         if (truth(v)) world.objects.expire_urls();
       }},
      {"lose_sessions",
       [&world](const auto& v) {
         if (truth(v)) world.objects.lose_sessions();
       }},
      {"keep_less", [&world](const auto& v) { world.objects.keep_less = number<std::uint64_t>(v); }},
      {"missing_etags", [&world](const auto& v) { world.objects.missing_etags = number<std::uint64_t>(v); }},
      {"expire_access_tokens",
       [&world](const auto& v) {
         if (truth(v)) world.access.expire_access_tokens();
       }},
      {"reject_api_token", [&world](const auto& v) { world.access.reject_api_token = truth(v); }},
      {"refuse_refresh", [&world](const auto& v) { world.access.refuse_refresh = truth(v); }},
      {"unauthorized_without_body", [&world](const auto& v) { world.access.refuse_without_body = truth(v); }},
  };
}

void apply_settings(World& world, const json::object& settings, bool replaying) {
  if (const auto* reset = settings.if_contains("reset"); reset != nullptr && truth(*reset)) end_faults(world);
  const auto scope = scope_of(settings);
  auto setters = lasting_setters(world, scope);
  const auto ignored = [](const json::value&) {};
  setters["reset"] = ignored;
  for (auto& [key, setter] : passing_setters(world, scope)) setters[key] = replaying ? ignored : setter;
  apply_all(settings, setters, "a control call");
}

Response control(World& world, const Request& request) {
  try {
    json::error_code error;
    const auto settings = json::parse(request.body, error);
    if (error) throw Misunderstood("the body is not JSON: " + error.message());
    for_each(settings, [&](const json::object& one) {
      apply_settings(world, one, false);
      world.journal.write(Journal::Kind::control, json::serialize(one));
    });
  } catch (const Misunderstood& refusal) {
    return error_response(400, "", refusal.what());
  }
  return {200, "{\"ok\":true}\n", "application/json", {}};
}

}  // namespace

Result<void> replay_control(World& world, std::string_view settings) {
  try {
    apply_settings(world, json::parse(settings).as_object(), true);
  } catch (const std::exception& error) {
    return fail("state_file_damaged", std::string("the state file holds a control call that fails: ") + error.what());
  }
  return {};
}

void end_faults(World& world) {
  world.faults.clear();
  world.queue.rules.clear();
  world.queue.resume_all();
  world.objects.end_faults();
  world.queue.delay = std::chrono::milliseconds(3);
  world.access.reject_api_token = false;
  world.access.refuse_refresh = false;
  world.access.refuse_without_body = false;
  world.access.lifetime = std::chrono::hours(1);
}

void add_control_api(World& world) {
  Route route;
  route.method = "POST";
  route.pattern = "/sandbox/control";
  route.needs_token = false;
  route.handle = [&world](const Request& request) { return control(world, request); };
  world.router.add(std::move(route));
}

}  // namespace neptune::sandbox
