#include "changes/impl/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "changes/limits.h"

namespace neptune::changes {

namespace {

const Json kNothing[] = {Json(Json::Type::null),   Json(Json::Type::boolean), Json(Json::Type::number, "0"),
                         Json(Json::Type::string), Json(Json::Type::array),   Json(Json::Type::object)};

const Json& nothing(Json::Type type) {
  return kNothing[static_cast<std::size_t>(type)];
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
  if (word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto each : known) {
    const auto distance = edit_distance(word, each);
    if (distance < best_distance) {
      best = each;
      best_distance = distance;
    }
  }
  return best;
}

std::string hint(std::string_view word, const std::vector<std::string_view>& known) {
  if (const auto near = nearest(word, known); !near.empty()) return fmt::format(" Did you mean '{}'?", near);
  return fmt::format(" Known are {}.", fmt::join(known, ", "));
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown = 60;
  const auto beginning = cut(text, shown);
  std::string out = "'";
  for (const char c : beginning) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + (beginning.size() < text.size() ? "...'" : "'");
}

void Fields::only(const std::vector<std::string_view>& names) {
  const auto of_every_change = [this](const std::string& name) {
    return path_.empty() && (name == "kind" || name == "idempotency_key" || name == "discard_pending");
  };
  for (const auto& member : object_.members)
    if (std::find(names.begin(), names.end(), member.name) == names.end() && !of_every_change(member.name))
      return verdict_.refuse("unknown_field",
                             fmt::format("There is no field {} here.{}", quoted(member.name), hint(member.name, names)),
                             path(member.name));
}

const Json& Fields::require(std::string_view name, Json::Type type) {
  if (const auto* value = optional(name, type)) return *value;
  verdict_.refuse("missing_field", fmt::format("'{}' is missing; give {}.", path(name), describe(type)), path(name));
  return nothing(type);
}

const Json* Fields::optional(std::string_view name, Json::Type type) {
  const auto* value = object_.find(name);
  if (!value || value->is(type)) return value;
  verdict_.refuse("wrong_type", fmt::format("'{}' is {}; give {}.", path(name), describe(value->type), describe(type)),
                  path(name));
  return &nothing(type);
}

std::string Fields::required_text(std::string_view name) {
  return require(name, Json::Type::string).text;
}

std::optional<std::string> Fields::text(std::string_view name) {
  const auto* value = optional(name, Json::Type::string);
  return value ? std::optional(value->text) : std::nullopt;
}

std::optional<bool> Fields::flag(std::string_view name) {
  const auto* value = optional(name, Json::Type::boolean);
  return value ? std::optional(value->truth) : std::nullopt;
}

std::optional<Step> Fields::step(std::string_view name) {
  const auto* value = find(name);
  return value ? std::optional(read_step(*value, path(name), verdict_)) : std::nullopt;
}

std::optional<Moment> Fields::moment(std::string_view name) {
  const auto* value = find(name);
  return value ? std::optional(read_moment(*value, path(name), verdict_)) : std::nullopt;
}

std::vector<std::string> read_texts(const Json& value, const std::string& field, Verdict& verdict) {
  if (value.is(Json::Type::string)) return {value.text};
  std::vector<std::string> out;
  std::unordered_set<std::string_view> seen;
  if (!value.is(Json::Type::array)) {
    verdict.refuse("wrong_type", fmt::format("'{}' is {}; give an array of strings.", field, describe(value.type)),
                   field);
    return out;
  }
  if (value.members.empty())
    verdict.refuse("empty_list",
                   fmt::format("'{}' is an empty array; name at least one, or leave the field out.", field), field);
  for (const auto& item : value.members) {
    if (!item.value.is(Json::Type::string)) {
      verdict.refuse("wrong_type",
                     fmt::format("'{}' holds {}; all of it must be strings.", field, describe(item.value.type)), field);
      return out;
    }
    if (seen.insert(item.value.text).second) out.push_back(item.value.text);
  }
  return out;
}

Step read_step(const Json& value, const std::string& field, Verdict& verdict) {
  Step step;
  const auto fault = value.is(Json::Type::number) ? parse_step(value.text, step) : StepFault::not_a_number;
  switch (fault) {
    case StepFault::none:
      return step;
    case StepFault::not_a_number:
      verdict.refuse("wrong_type", fmt::format("'{}' is {}; a step is a number.", field, describe(value.type)), field);
      break;
    case StepFault::negative:
      verdict.refuse("step_negative", fmt::format("The step {} is negative; steps begin at 0.", quoted(value.text)),
                     field);
      break;
    case StepFault::too_large:
      verdict.refuse("step_too_large",
                     fmt::format("The step {} is too large; steps are below 10^12.", quoted(value.text)), field);
      break;
    case StepFault::too_many_decimals:
      verdict.refuse("step_too_precise",
                     fmt::format("The step {} has more than six decimals; round it to six.", quoted(value.text)),
                     field);
      break;
  }
  return {};
}

Moment read_moment(const Json& value, const std::string& field, Verdict& verdict) {
  std::optional<Moment> out;
  if (value.is(Json::Type::string)) out = parse_rfc3339(value.text);
  if (value.is_whole_number()) {
    std::int64_t ms = 0;
    const auto* end = value.text.data() + value.text.size();
    if (const auto read = std::from_chars(value.text.data(), end, ms); read.ec == std::errc() && read.ptr == end)
      out = Moment::from_ms(ms);
  }
  if (!out) {
    verdict.refuse("invalid_time",
                   fmt::format("{} is no time; write RFC 3339 (\"2026-01-02T03:04:05.678Z\") or whole milliseconds "
                               "since 1970.",
                               value.text.empty() ? std::string(describe(value.type)) : quoted(value.text)),
                   field);
    return {};
  }
  if (out->seconds < limits::datetime_min_s || out->seconds > limits::datetime_max_s) {
    verdict.refuse(
        "time_out_of_range",
        fmt::format("{} lies outside the years 1 to 9999; numbers are milliseconds since 1970.", quoted(value.text)),
        field);
    return {};
  }
  return *out;
}

namespace {

/// Not empty: that is said before.
void refuse_blanks(const std::string& name, std::string_view what, const std::string& field, Verdict& verdict) {
  if (!name.empty() && name.find_first_not_of(' ') == std::string::npos)
    verdict.refuse("empty_name", fmt::format("{} is nothing but blanks; name one.", what), field);
}

/// In the path of a URL these lead to another one, encoded or not.
bool is_dots(std::string_view name) {
  return name == "." || name == "..";
}

}  // namespace

void check_name(const std::string& name, std::string_view what, std::size_t bytes, const std::string& field,
                Verdict& verdict) {
  if (name.empty()) return verdict.refuse("empty_name", fmt::format("{} is empty; name one.", what), field);
  if (name.size() > bytes)
    return verdict.refuse(
        "name_too_long",
        fmt::format("{} takes {} bytes, and {} are allowed; shorten {}.", what, name.size(), bytes, quoted(name)),
        field);
  if (has_control_characters(name))
    verdict.refuse(
        "invalid_name",
        fmt::format("{} {} holds a control character (a line break, perhaps); leave it out.", what, quoted(name)),
        field);
}

ProjectName read_project(Fields& fields) {
  if (fields.may_default() && !fields.find("project") && fields.default_project().empty())
    fields.verdict().refuse("missing_field",
                            "'project' is missing; give it in the change, or for all that name none: --project or "
                            "$NEPTUNE_PROJECT with neptune-sync, ?project= in a URL.",
                            fields.path("project"));
  if (!fields.verdict().ok()) return {};
  const bool named = fields.find("project") || fields.default_project().empty();
  const auto full = named ? fields.required_text("project") : fields.default_project();
  const auto field = fields.path("project");
  const auto name = ProjectName::parse(full);
  if (!name) {
    fields.verdict().refuse("invalid_project_name",
                            fmt::format("{} is no project's full name; write workspace/project.", quoted(full)), field);
    return {};
  }
  check_workspace(name->workspace, field, fields.verdict());
  check_name(name->project, "The project's name", 4 * limits::project_name_max, field, fields.verdict());
  refuse_blanks(name->project, "The project's name", field, fields.verdict());
  return *name;
}

void check_workspace(const std::string& name, const std::string& field, Verdict& verdict) {
  check_name(name, "The workspace's name", limits::name_bytes, field, verdict);
  refuse_blanks(name, "The workspace's name", field, verdict);
  if (name.find('/') != std::string::npos)
    verdict.refuse("invalid_name",
                   fmt::format("{} is no workspace; leave out the slash and what follows.", quoted(name)), field);
  if (name.starts_with(' ') || name.ends_with(' '))
    verdict.refuse("invalid_name",
                   fmt::format("The workspace {} begins or ends with a blank; leave it out.", quoted(name)), field);
  if (is_dots(name))
    verdict.refuse("invalid_name", fmt::format("{} is no workspace; write its name.", quoted(name)), field);
}

void check_user(const std::string& name, const std::string& field, Verdict& verdict) {
  check_name(name, "The user's name", limits::name_bytes, field, verdict);
  refuse_blanks(name, "The user's name", field, verdict);
  if (name.find('/') != std::string::npos)
    verdict.refuse("invalid_name", fmt::format("The user's name {} holds a '/', as none can.", quoted(name)), field);
  if (is_dots(name))
    verdict.refuse("invalid_name", fmt::format("{} is no user's name; write it.", quoted(name)), field);
}

void check_new_project_name(const std::string& name, const std::string& field, Verdict& verdict) {
  const auto characters = static_cast<std::size_t>(
      std::count_if(name.begin(), name.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  if (characters < limits::project_name_min || characters > limits::project_name_max)
    return verdict.refuse(
        "project_name_length",
        fmt::format("The project name {} has {} character{}; it must have {} to {}.", quoted(name), characters,
                    characters == 1 ? "" : "s", limits::project_name_min, limits::project_name_max),
        field);
  refuse_blanks(name, "The project's name", field, verdict);
  if (const auto at = name.find_first_of("/\\#?%:"); at != std::string::npos)
    return verdict.refuse(
        "project_name_characters",
        fmt::format("The project name {} holds a '{}'; none of / \\ # ? % : may be in it.", quoted(name), name[at]),
        field);
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xF0; }))
    return verdict.refuse("project_name_characters",
                          fmt::format("The project name {} holds a character of four bytes (an emoji, perhaps); "
                                      "leave it out.",
                                      quoted(name)),
                          field);
  if (has_control_characters(name))
    verdict.refuse("project_name_characters",
                   fmt::format("The project name {} holds a control character; leave it out.", quoted(name)), field);
}

void check_key(const std::string& key, const std::string& field, Verdict& verdict) {
  const bool characters =
      std::all_of(key.begin(), key.end(), [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
  const bool letter = std::any_of(key.begin(), key.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (key.empty() || key.size() > limits::key_length || !characters || !letter)
    verdict.refuse("invalid_key",
                   fmt::format("{} is no key; write 1 to {} of A-Z and 0-9, with at least one letter.", quoted(key),
                               limits::key_length),
                   field);
}

void check_run_id(const std::string& id, const std::string& field, Verdict& verdict) {
  check_name(id, "The run's id", limits::run_id_bytes, field, verdict);
  if (id.find('/') != std::string::npos)
    verdict.refuse("invalid_name", fmt::format("The run's id {} holds a '/'; use another character.", quoted(id)),
                   field);
}

void check_experiment(const std::string& name, const std::string& field, Verdict& verdict) {
  check_name(name, "The experiment's name", limits::run_id_bytes, field, verdict);
}

namespace {

/// Of A-Z, 0-9 and '-' within, at most `dashes` of them: what keys and short ids are made of.
bool is_short_id(const std::string& id, std::ptrdiff_t dashes) {
  return !id.empty() && id.size() <= limits::name_bytes && id.front() != '-' && id.back() != '-' &&
         id.find("--") == std::string::npos && std::count(id.begin(), id.end(), '-') <= dashes &&
         std::all_of(id.begin(), id.end(),
                     [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; });
}

/// As the server numbers versions: from 1, in digits, the first of them no 0.
bool is_version_number(std::string_view text) {
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return !text.starts_with('0') && read.ec == std::errc() && read.ptr == end && number > 0;
}

}  // namespace

void check_model_id(const std::string& id, const std::string& field, Verdict& verdict) {
  if (!is_short_id(id, 1))
    verdict.refuse("invalid_model",
                   fmt::format("{} is no model{}; write its key (\"FOREST\") or its short id (\"LAB-FOREST\").",
                               quoted(id), is_short_id(id, 2) ? " but a version of one" : ""),
                   field);
}

void check_model_version_id(const std::string& id, const std::string& field, Verdict& verdict) {
  const auto dash = id.rfind('-');
  const bool numbered = dash != std::string::npos && is_version_number(std::string_view(id).substr(dash + 1));
  if (!is_short_id(id, 2) || !numbered)
    verdict.refuse("invalid_model_version",
                   fmt::format("{} is no model version; write its short id (\"LAB-FOREST-3\"), or its model's key and "
                               "number, from 1 on (\"FOREST-3\").",
                               quoted(id)),
                   field);
}

void check_string(std::string_view text, const std::string& field, Verdict& verdict) {
  if (text.size() > limits::string_bytes)
    verdict.refuse("string_too_long",
                   fmt::format("The string takes {} bytes, and {} are allowed; shorten it or log it as a file.",
                               text.size(), limits::string_bytes),
                   field, Refusal::Kind::too_large);
}

void check_field_path(const std::string& path, const std::string& field, Verdict& verdict) {
  if (path.empty()) return verdict.refuse("empty_path", "A field's path is empty; name the field.", field);
  if (path.size() > limits::field_path_bytes)
    return verdict.refuse("path_too_long",
                          fmt::format("The path {} takes {} bytes, and {} are allowed; shorten it.", quoted(path),
                                      path.size(), limits::field_path_bytes),
                          field);
  if (has_control_characters(path))
    verdict.refuse("invalid_path", fmt::format("The path {} holds a control character; leave it out.", quoted(path)),
                   field);
}

void check_new_field_path(const std::string& path, const std::string& field, Verdict& verdict) {
  check_field_path(path, field, verdict);
  if (path.starts_with('/') || path.ends_with('/') || path.find("//") != std::string::npos)
    verdict.refuse("empty_path",
                   fmt::format("A part of the path {} is empty: a '/' is at its beginning or end, or twice in a row; "
                               "leave that out.",
                               quoted(path)),
                   field);
}

}  // namespace neptune::changes
