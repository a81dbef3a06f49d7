#include "changes/change_json.h"

#include <fmt/format.h>

#include "changes/file_upload.h"
#include "changes/impl/attributes_json.h"
#include "changes/impl/content.h"
#include "changes/impl/management_json.h"
#include "changes/impl/placement.h"
#include "changes/impl/run_json.h"
#include "changes/impl/upload_json.h"
#include "changes/kinds.h"
#include "changes/limits.h"
#include "support/utf8.h"

namespace neptune {

namespace {

using changes::Fields;
using changes::Json;
using changes::Verdict;

std::vector<std::string_view> kind_names() {
  std::vector<std::string_view> out;
  for (const auto kind : every_kind())
    if (const auto word = name(kind); change_kind(word)) out.push_back(word);
  return out;
}

std::optional<ChangeKind> read_kind(Fields& fields) {
  const auto word = fields.required_text("kind");
  if (!fields.verdict().ok()) return std::nullopt;
  const auto kind = change_kind(word);
  if (!kind)
    fields.verdict().refuse(
        "unknown_kind",
        fmt::format("There is no kind {} of changes.{}", changes::quoted(word), changes::hint(word, kind_names())),
        fields.path("kind"));
  return kind;
}

/// Of these nobody may miss which project they are for.
bool must_name_project(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::project_create:
    case ChangeKind::project_update:
    case ChangeKind::project_delete:
    case ChangeKind::project_set_storage_limit:
    case ChangeKind::trash_empty:
      return true;
    default:
      return false;
  }
}

Change read_of_kind(ChangeKind kind, Fields& fields, const ChangeFacts& facts) {
  switch (kind) {
    case ChangeKind::run_create:
    case ChangeKind::run_update: {
      auto operation = kind == ChangeKind::run_create ? changes::read_run_create(fields, facts)
                                                      : changes::read_run_update(fields, facts);
      auto change = changes::place(kind, operation);
      change.payload = std::move(operation.bytes);
      return change;
    }
    case ChangeKind::run_upload: {
      const auto upload = changes::read_run_upload(fields);
      if (!fields.verdict().ok()) return {};
      return {.kind = kind, .container = upload.files(), .payload = upload_json(upload)};
    }
    case ChangeKind::model_update:
    case ChangeKind::model_version_update:
    case ChangeKind::project_metadata: {
      const auto attributes = changes::read_attributes(kind, fields);
      if (!fields.verdict().ok()) return {};
      auto change = changes::place(kind, attributes);
      change.payload = changes::attributes_json(kind, attributes);
      return change;
    }
    default: {
      const auto management = changes::read_management(kind, fields, facts);
      if (!management || !fields.verdict().ok()) return {};
      auto change = changes::place(kind, *management);
      change.payload = changes::management_json(kind, *management);
      return change;
    }
  }
}

void read_common(Fields& fields, Change& change) {
  auto& verdict = fields.verdict();
  if (const auto key = fields.text("idempotency_key")) {
    changes::check_name(*key, "The idempotency key", limits::idempotency_key_bytes, "idempotency_key", verdict);
    change.idempotency_key = *key;
  }
  if (const auto discard = fields.flag("discard_pending")) {
    change.discard_pending = *discard;
    if (*discard && verdict.ok() && !changes::may_discard(change))
      verdict.refuse("nothing_to_discard",
                     fmt::format("'discard_pending' is for what removes or archives runs and projects; a {} has "
                                 "nothing to discard.",
                                 name(change.kind)),
                     "discard_pending");
  }
  if (change.payload.size() > limits::change_bytes)
    verdict.refuse("change_too_large",
                   fmt::format("The change takes {} bytes, and {} are allowed; split it into several.",
                               change.payload.size(), limits::change_bytes),
                   "", Refusal::Kind::too_large);
}

std::expected<Change, Refusal> read_change(const Json& json, const ChangeFacts& facts) {
  Verdict verdict;
  Change change;
  if (!json.is(Json::Type::object)) {
    verdict.refuse("wrong_type", fmt::format("A change is a JSON object; {} was given.", changes::describe(json.type)),
                   "");
  } else {
    Fields fields(json, "", verdict);
    if (const auto kind = read_kind(fields)) {
      if (!must_name_project(*kind)) fields.default_project(facts.project);
      change = read_of_kind(*kind, fields, facts);
      read_common(fields, change);
      if (!change.idempotency_key.empty()) change.content = changes::content_of(json, change.container.project.full());
    }
  }
  if (!verdict.ok()) return std::unexpected(*verdict.refusal());
  return change;
}

/// Takes changes as they are read, until one is refused.
struct Intake {
  const ChangeFacts& facts;
  std::vector<Change> changes{};
  std::size_t waits = 0;  ///< streams that they go after
  std::optional<Refusal> refusal{};

  bool take(const Json& json) {
    if (changes.size() == limits::changes_a_body) {
      refusal = Refusal{
          Refusal::Kind::too_large, "too_many_changes",
          fmt::format("One request takes {} changes at most; hand in the others with another.", limits::changes_a_body),
          ""};
      return false;
    }
    auto change = read_change(json, facts);
    if (change) waits += change->after.size();
    if (change && waits > limits::waits_a_body)
      refusal =
          Refusal{Refusal::Kind::too_large, "too_many_runs",
                  fmt::format("The changes of one request name too many runs: some {} in all is as many as it takes; "
                              "hand in the others with another.",
                              limits::waits_a_body / 2),
                  "runs"};
    else if (change)
      changes.push_back(std::move(*change));
    else
      refusal = std::move(change.error());
    return !refusal.has_value();
  }

  /// Says which change of several is at fault.
  static Refusal numbered(Refusal refused, std::size_t number) {
    const auto index = std::to_string(number);
    refused.field = refused.field.empty() ? index : index + "." + refused.field;
    return refused;
  }
};

std::expected<std::vector<Change>, Refusal> parse_json(std::string_view body, const ChangeFacts& facts) {
  Intake intake{facts};
  const bool several = body.substr(std::min(body.find_first_not_of(" \t\r\n"), body.size())).starts_with('[');
  const auto end = changes::read_json(
      body, [&intake](Json&& json) { return intake.take(json); }, limits::change_values, facts.first_line);
  auto refusal = end ? intake.refusal : std::optional(end.error());
  if (refusal && several && refusal->kind != Refusal::Kind::malformed)
    refusal = Intake::numbered(std::move(*refusal), intake.changes.size());
  if (refusal) return std::unexpected(std::move(*refusal));
  if (intake.changes.empty())
    return std::unexpected(
        Refusal{Refusal::Kind::invalid, "no_changes", "The array is empty; put at least one change in it.", ""});
  return std::move(intake.changes);
}

std::expected<std::vector<Change>, Refusal> parse_ndjson(std::string_view body, const ChangeFacts& facts) {
  Intake intake{facts};
  for (std::size_t number = facts.first_line; !body.empty(); ++number) {
    const auto newline = std::min(body.find('\n'), body.size());
    const auto line = body.substr(0, newline);
    body.remove_prefix(std::min(newline + 1, body.size()));
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    const auto index = intake.changes.size();
    if (line[first] != '{' && first_utf8_character(line.substr(first)).bytes > 0)
      return std::unexpected(
          Intake::numbered({Refusal::Kind::malformed, "invalid_json",
                            fmt::format("Line {} is {}; in NDJSON each line is one change, an object.", number,
                                        line[first] == '[' ? "an array" : "no JSON object"),
                            ""},
                           index));
    const auto end =
        changes::read_json(line, [&intake](Json&& json) { return intake.take(json); }, limits::change_values, number);
    auto refusal = end ? intake.refusal : std::optional(end.error());
    if (refusal) return std::unexpected(Intake::numbered(std::move(*refusal), index));
  }
  if (intake.changes.empty())
    return std::unexpected(Refusal{Refusal::Kind::malformed, "empty_body",
                                   "The body is empty; send one change as a JSON object on each line.", ""});
  return std::move(intake.changes);
}

}  // namespace

std::expected<std::vector<Change>, Refusal> parse_changes(std::string_view body, ChangesFormat format,
                                                          const ChangeFacts& facts) {
  return format == ChangesFormat::ndjson ? parse_ndjson(body, facts) : parse_json(body, facts);
}

}  // namespace neptune
