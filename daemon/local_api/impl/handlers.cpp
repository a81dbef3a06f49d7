#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>

#include "client/lib/json.h"
#include "local_api/impl/metrics.h"
#include "local_api/impl/routes.h"

namespace neptune::local_api {

namespace {

namespace asio = boost::asio;

constexpr std::uint64_t max_id = std::numeric_limits<std::int64_t>::max();

template <class T>
Answer json(const T& value) {
  Answer answer;
  answer.body = api::to_json(value);
  return answer;
}

template <class T>
Answer json(const Result<T>& result) {
  return result ? json(*result) : error_answer(result.error());
}

std::expected<std::int64_t, Answer> rejected_id(const Call& call) {
  Call as_query;
  as_query.query.emplace("id", call.args.at(0));
  const auto id = number(as_query, "id", 0, 1, max_id - 1);
  if (!id) return std::unexpected(id.error());
  return static_cast<std::int64_t>(*id);
}

std::expected<Scope, Answer> scope_of(const Call& call) {
  auto scope = Scope::parse(call.args.at(0));
  if (!scope) return std::unexpected(error_answer(400, scope.error().code, scope.error().message, "scope"));
  return std::move(*scope);
}

asio::awaitable<Answer> get_status(Context context, Call) {
  co_return json(context.control.status());
}

asio::awaitable<Answer> get_workspaces(Context context, Call) {
  co_return json(api::WorkspaceList{context.control.status().workspaces});
}

asio::awaitable<Answer> get_workspace(Context context, Call call) {
  const auto status = context.control.status();
  std::string known;
  for (const auto& workspace : status.workspaces) {
    if (workspace.name == call.args[0]) co_return json(workspace);
    known += (known.empty() ? "" : ", ") + workspace.name;
  }
  co_return error_answer(404, "unknown_workspace",
                         "No changes of a workspace '" + call.args[0] +
                             "' have been seen. Known: " + (known.empty() ? "none yet" : known) + ".");
}

Answer not_for(const Call& call, const std::string& what, const std::string& whom) {
  return error_answer(403, "not_permitted", what + " is not for " + user_in_words(call.by) + ", but for " + whom + ".");
}

/// Who may manage a workspace may see what its token sees.
std::optional<Answer> refuse_listing(const Context& context, const Call& call, const std::string& workspace) {
  if (call.standing.may_manage(workspace)) return std::nullopt;
  return not_for(call, "What the server lists of " + workspace,
                 "the workspace's `allow_users`, root, the daemon's own user and the group " +
                     std::string(context.operator_group));
}

asio::awaitable<Answer> get_server_projects(Context context, Call call) {
  const auto workspace = call.args.at(0);
  const auto scope = Scope::parse(workspace);
  if (!scope || !scope->is_workspace())
    co_return error_answer(400, "invalid_workspace", "'" + workspace + "' is no workspace's name.", "workspace");
  if (auto refused = refuse_listing(context, call, workspace)) co_return std::move(*refused);
  const auto list = co_await context.control.server_projects(workspace);
  co_return json(list);
}

asio::awaitable<Answer> get_members(Context context, Call call) {
  auto project = ProjectName::parse(call.args.at(0));
  if (!project) co_return error_answer(400, project.error().code, project.error().message, "project");
  if (auto refused = refuse_listing(context, call, project->workspace)) co_return std::move(*refused);
  const auto list = co_await context.control.members(std::move(*project));
  co_return json(list);
}

/// As they are at this moment.
Answer list_of(const Context& context, std::vector<api::Stream> streams) {
  const auto now = context.clock.now().time_since_epoch();
  return json(api::StreamList{std::move(streams), std::chrono::duration_cast<std::chrono::microseconds>(now).count()});
}

asio::awaitable<Answer> get_streams(Context context, Call call) {
  engine::StreamFilter filter;
  if (const auto project = call.query.find("project"); project != call.query.end()) {
    const auto scope = Scope::parse(project->second);
    if (!scope) co_return error_answer(400, scope.error().code, scope.error().message, "project");
    filter.project = project->second;
  }
  if (const auto run = call.query.find("run"); run != call.query.end()) filter.run = run->second;
  const auto file = call.query.find("file");
  if (file == call.query.end()) co_return list_of(context, context.control.streams(filter));
  if (!file->second.starts_with('/'))
    co_return error_answer(400, "invalid_parameter",
                           "'file' is '" + file->second + "'; write the file's absolute path.", "file");
  auto found = co_await context.control.streams_of_file(std::move(filter), file->second);
  if (!found) co_return error_answer(found.error());
  co_return list_of(context, std::move(*found));
}

asio::awaitable<Answer> get_rejected_page(Context context, Call call) {
  const auto before = number(call, "before", 0, 0, max_id);
  if (!before) co_return before.error();
  const auto limit = number(call, "limit", 100, 1, 1000);
  if (!limit) co_return limit.error();
  // One more than asked for tells whether another page follows.
  auto rows =
      co_await context.control.rejected(static_cast<std::int64_t>(*before), static_cast<std::uint32_t>(*limit + 1));
  if (!rows) co_return error_answer(rows.error());
  api::RejectedList page{std::move(*rows), std::nullopt};
  if (page.rejected.size() > *limit) {
    page.rejected.resize(*limit);
    page.next_before = page.rejected.back().id;
  }
  co_return json(page);
}

Answer no_such_rejected(std::int64_t id) {
  return error_answer(404, "unknown_rejected",
                      "There is no rejected change " + std::to_string(id) + ". `neptune-sync rejected` lists them.");
}

asio::awaitable<Answer> get_rejected(Context context, Call call) {
  const auto id = rejected_id(call);
  if (!id) co_return id.error();
  const auto rows = co_await context.control.rejected(*id + 1, 1);
  if (!rows) co_return error_answer(rows.error());
  if (rows->empty() || rows->front().id != *id) co_return no_such_rejected(*id);
  co_return json(rows->front());
}

asio::awaitable<Answer> get_payload(Context context, Call call) {
  const auto id = rejected_id(call);
  if (!id) co_return id.error();
  if (!call.standing.is_operator) {
    const auto rows = co_await context.control.rejected(*id + 1, 1);
    if (!rows) co_return error_answer(rows.error());
    if (rows->empty() || rows->front().id != *id) co_return no_such_rejected(*id);
    if (rows->front().uid != call.uid)
      co_return not_for(
          call, "The payload of rejected change " + std::to_string(*id),
          "whoever handed it in, root, the daemon's own user and the group " + std::string(context.operator_group));
  }
  auto payload = co_await context.control.rejected_payload(*id);
  if (!payload) co_return error_answer(payload.error());
  Answer answer;
  answer.content_type = "application/octet-stream";
  answer.body = std::move(*payload);
  co_return answer;
}

asio::awaitable<Answer> retry_rejected(Context context, Call call) {
  const auto id = rejected_id(call);
  if (!id) co_return id.error();
  const auto done = co_await context.control.retry_rejected(*id);
  if (!done) co_return error_answer(done.error());
  co_return json(api::RejectedReply{*id, "Rejected " + std::to_string(*id) + " will be sent again."});
}

asio::awaitable<Answer> discard_rejected(Context context, Call call) {
  const auto id = rejected_id(call);
  if (!id) co_return id.error();
  const auto done = co_await context.control.discard_rejected(*id, std::move(call.by));
  if (!done) co_return error_answer(done.error());
  co_return json(api::RejectedReply{*id, "Rejected " + std::to_string(*id) + " was discarded."});
}

asio::awaitable<Answer> get_change(Context context, Call call) {
  Call as_query;
  as_query.query.emplace("id", call.args.at(0));
  const auto id = number(as_query, "id", 0, 1, max_id);
  if (!id) co_return id.error();
  const auto place = co_await context.control.change(static_cast<std::int64_t>(*id));
  co_return json(place);
}

asio::awaitable<Answer> look_around(Context context, Call) {
  co_return json(context.control.diagnose_box());
}

asio::awaitable<Answer> doctor(Context context, Call call) {
  const auto part = call.query.find("part");
  if (part != call.query.end() && part->second != "server")
    co_return error_answer(400, "invalid_parameter", "'part' can only be server; GET tells the rest.", "part");
  api::Diagnosis diagnosis;
  if (part == call.query.end()) diagnosis = context.control.diagnose_box();
  auto way = co_await context.control.diagnose_way();
  std::ranges::move(way.checks, std::back_inserter(diagnosis.checks));
  co_return json(diagnosis);
}

asio::awaitable<Answer> tidy(Context context, Call call) {
  const auto dry_run = flag(call, "dry_run", false);
  if (!dry_run) co_return dry_run.error();
  engine::TidyRequest request{
      .is_operator = call.standing.is_operator, .uid = call.uid, .dry_run = *dry_run, .below = call.query["below"]};
  if (!request.below.empty() && !request.below.starts_with('/'))
    co_return error_answer(400, "invalid_parameter", "'below' must be an absolute path.", "below");
  const auto reply = co_await context.control.tidy(std::move(request));
  co_return json(reply);
}

asio::awaitable<Answer> flush(Context context, Call) {
  co_return json(context.control.flush());
}

asio::awaitable<Answer> hold(Context context, Call call) {
  auto scope = scope_of(call);
  if (!scope) co_return scope.error();
  co_return json(co_await context.control.hold(std::move(*scope), std::move(call.by)));
}

asio::awaitable<Answer> discard_waiting(Context context, Call call) {
  auto scope = scope_of(call);
  if (!scope) co_return scope.error();
  engine::DiscardRequest request{.scope = std::move(*scope), .by = {call.uid, call.standing.name}};
  request.everybodys = call.standing.may_manage(request.scope.workspace);
  if (const auto run = call.query.find("run"); run != call.query.end()) request.run = run->second;
  if (const auto model = call.query.find("model"); model != call.query.end()) request.model = model->second;
  if (request.run && request.model)
    co_return error_answer(400, "invalid_parameter", "Name a run or a model, and not both.", "model");
  co_return json(co_await context.control.discard_waiting(std::move(request)));
}

asio::awaitable<Answer> release(Context context, Call call) {
  auto scope = scope_of(call);
  if (!scope) co_return scope.error();
  const auto dry_run = flag(call, "dry_run", false);
  if (!dry_run) co_return dry_run.error();
  if (*dry_run) co_return json(co_await context.control.plan_release(std::move(*scope)));
  co_return json(co_await context.control.release(std::move(*scope), std::move(call.by)));
}

asio::awaitable<Answer> probe(Context context, Call call) {
  const auto scope = scope_of(call);
  if (!scope) co_return scope.error();
  co_return json(context.control.probe(*scope));
}

asio::awaitable<Answer> get_metrics(Context context, Call call) {
  const auto form = metrics_form(call.accept);
  Answer answer;
  answer.content_type = content_type(form);
  answer.body =
      metrics_text(context.control.status(), context.control.metrics(), process_facts(), context.clock.wall(), form);
  co_return answer;
}

}  // namespace

std::span<const Route> routes() {
  static const std::vector<Route> table{
      {"GET", "/v1/status", Needs::read, {}, get_status},
      {"GET", "/v1/workspaces", Needs::read, {}, get_workspaces},
      {"GET", "/v1/workspaces/{}", Needs::read, {}, get_workspace},
      {"GET", "/v1/workspaces/{}/projects", Needs::ask, {}, get_server_projects},
      {"GET", "/v1/projects/{}/members", Needs::ask, {}, get_members},
      {"GET", "/v1/streams", Needs::read, {"project", "run", "file"}, get_streams},
      {"GET", "/v1/rejected", Needs::read, {"before", "limit"}, get_rejected_page},
      {"GET", "/v1/rejected/{}", Needs::read, {}, get_rejected},
      {"GET", "/v1/rejected/{}/payload", Needs::ask, {}, get_payload},
      {"POST", "/v1/rejected/{}/retry", Needs::operate, {}, retry_rejected},
      {"POST", "/v1/rejected/{}/discard", Needs::operate, {}, discard_rejected},
      {"GET", "/v1/events", Needs::read, {"since", "follow"}, nullptr},
      {"POST", "/v1/changes", Needs::submit, {"project", "first_line"}, post_changes, Takes::changes},
      {"GET", "/v1/changes/{}", Needs::read, {}, get_change},
      {"GET", "/v1/doctor", Needs::read, {}, look_around},
      {"POST", "/v1/doctor", Needs::nudge, {"part"}, doctor},
      {"POST", "/v1/flush", Needs::nudge, {}, flush},
      {"POST", "/v1/tidy", Needs::ask, {"below", "dry_run"}, tidy},
      {"POST", "/v1/scopes/{}/hold", Needs::operate, {}, hold},
      {"POST", "/v1/scopes/{}/release", Needs::operate, {"dry_run"}, release},
      {"POST", "/v1/scopes/{}/probe", Needs::nudge, {}, probe},
      {"POST", "/v1/scopes/{}/discard", Needs::ask, {"run", "model"}, discard_waiting},
      {"GET", "/metrics", Needs::read, {}, get_metrics},
  };
  return table;
}

}  // namespace neptune::local_api
