#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <limits>
#include <set>

#include "changes/change_json.h"
#include "client/lib/json.h"
#include "local_api/impl/routes.h"
#include "support/worker_pool.h"

namespace neptune::local_api {

namespace {

namespace asio = boost::asio;

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::size_t on_loop_bytes = 64 << 10;  // read within a millisecond or two

using Parsed = std::expected<std::vector<Change>, Refusal>;

/// The end of the JSON object that `text` begins with, as far as braces tell: what is after it is not part of it.
std::size_t end_of_object(std::string_view text) {
  bool in_string = false;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return text.size();
}

/// Where no type is given: NDJSON is an object with more after it.
ChangesFormat guess(std::string_view body) {
  constexpr std::string_view space = " \t\r\n";
  const auto begin = body.find_first_not_of(space);
  if (begin == std::string_view::npos || body[begin] != '{') return ChangesFormat::json;
  body.remove_prefix(begin);
  body.remove_prefix(end_of_object(body));
  return body.find_first_not_of(space) == std::string_view::npos ? ChangesFormat::json : ChangesFormat::ndjson;
}

ChangesFormat format_of(const Call& call) {
  if (call.body_type.empty()) return guess(call.body);
  return boost::beast::iequals(call.body_type, "application/json") ? ChangesFormat::json : ChangesFormat::ndjson;
}

bool holds_several(const std::string& body, ChangesFormat format) {
  const auto begin = body.find_first_not_of(" \t\r\n");
  return format == ChangesFormat::ndjson || (begin != std::string::npos && body[begin] == '[');
}

/// Reads a large body beside the loop. What is known of workspaces is the loop's to ask: it is asked for those the body
/// made a difference for, and then the body is read again with the answers.
asio::awaitable<Parsed> parse_beside(Context context, const std::string& body, ChangesFormat format,
                                     ChangeFacts facts) {
  std::map<std::string, WorkspaceType, std::less<>> types;
  facts.workspace_type = [&types](std::string_view workspace) {
    return types.try_emplace(std::string(workspace), WorkspaceType::unknown).first->second;
  };
  for (;;) {
    const auto work = [&body, format, &facts] { return parse_changes(body, format, facts); };
    auto parsed = co_await context.parsing.run(work);
    bool news = false;
    for (auto& [workspace, type] : types) {
      const auto known = context.control.workspace_type(workspace);
      news = news || known != type;
      type = known;
    }
    if (!news) co_return parsed;
  }
}

asio::awaitable<Parsed> parse(Context context, const std::string& body, ChangesFormat format, ChangeFacts facts) {
  facts.accepted_ms = to_unix_ms(context.clock.wall());
  if (body.size() > on_loop_bytes) {
    auto parsed = co_await parse_beside(context, body, format, std::move(facts));
    co_return parsed;
  }
  facts.workspace_type = [&context](std::string_view workspace) { return context.control.workspace_type(workspace); };
  co_return parse_changes(body, format, facts);
}

Answer refusal_answer(const Refusal& refusal) {
  return error_answer(refusal.kind == Refusal::Kind::too_large ? 413 : 400, refusal.code, refusal.message,
                      refusal.field);
}

/// Nothing when the user may hand in all of them.
std::optional<Answer> check_power(const std::vector<Change>& changes, const Call& call, std::string_view group,
                                  bool several) {
  const auto& standing = call.standing;
  const auto refused = std::find_if(changes.begin(), changes.end(), [&standing](const Change& change) {
    return needs_power(change.kind) && !standing.may_manage(change.container.project.workspace);
  });
  if (refused == changes.end()) return std::nullopt;
  const std::string kind(name(refused->kind));
  const auto& workspace = refused->container.project.workspace;
  const auto index = several ? std::to_string(refused - changes.begin()) + "." : std::string();
  return error_answer(403, "not_permitted",
                      "A " + kind + " in " + workspace + " is not for " + user_in_words(standing.name) +
                          ", and nothing was taken. Ask an administrator to add you to the group " +
                          std::string(group) + " (`usermod -aG " + std::string(group) + " " + standing.name +
                          "`), or to name you in `allow_users` of workspace " + workspace + " in the configuration.",
                      index + "kind");
}

Answer engine_answer(const engine::NotTaken& why, bool several) {
  std::string field;
  if (why.change && several) field = std::to_string(*why.change);
  if (why.change && why.code.starts_with("file_")) field += field.empty() ? "file" : ".file";
  auto answer = error_answer(why);
  return field.empty() ? answer : error_answer(answer.status, why.code, why.message, std::move(field));
}

std::vector<std::string> scopes_of(const std::vector<Change>& changes) {
  std::set<std::string> scopes;
  for (const auto& change : changes)
    scopes.insert(Scope{change.container.project.workspace, change.container.project.project}.text());
  return {scopes.begin(), scopes.end()};
}

}  // namespace

asio::awaitable<Answer> post_changes(Context context, Call call) {
  // Some editors put it before a text to say that it is UTF-8.
  if (call.body.starts_with(byte_order_mark)) call.body.erase(0, byte_order_mark.size());
  const auto format = format_of(call);
  ChangeFacts facts;
  if (const auto named = call.query.find("project"); named != call.query.end()) facts.project = named->second;
  const auto line = number(call, "first_line", 1, 1, std::numeric_limits<std::int64_t>::max());
  if (!line) co_return line.error();
  facts.first_line = *line;
  auto changes = co_await parse(context, call.body, format, std::move(facts));
  if (!changes) co_return refusal_answer(changes.error());
  const bool several = holds_several(call.body, format);
  if (auto refused = check_power(*changes, call, context.operator_group, several)) co_return std::move(*refused);

  call.body = {};
  api::SubmitReply reply;
  reply.scopes = scopes_of(*changes);
  Submitter by{call.uid, call.standing.name};
  auto ids = co_await context.control.accept(std::move(*changes), std::move(by));
  if (!ids) co_return engine_answer(ids.error(), several);
  reply.ids = std::move(*ids);
  reply.accepted = reply.ids.size();
  Answer answer;
  answer.status = 202;
  answer.body = api::to_json(reply);
  co_return answer;
}

}  // namespace neptune::local_api
