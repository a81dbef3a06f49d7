#include "client/cli/hand_in.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "client/cli/views.h"
#include "client/lib/wait.h"

namespace neptune::cli {

namespace {

std::optional<std::chrono::milliseconds> read_timeout(const HandIn& how) {
  if (!how.timeout) return std::nullopt;
  const auto timeout = parse_duration(*how.timeout);
  if (!timeout) wrong_usage("--timeout", "'" + *how.timeout + "' is not a time; write 30s, 5m or 1h.");
  if (!how.wait) wrong_usage("--timeout", "It is for --wait alone; add --wait, or leave it out.");
  return timeout;
}

/// "Change 2 (line 2): ", where one of several is at fault and the message does not name a line itself.
std::string which_change(const std::string& field, const Error& error, const std::string& body) {
  const auto end = field.data() + std::min(field.find('.'), field.size());
  std::size_t index = 0;
  const auto [last, wrong] = std::from_chars(field.data(), end, index);
  if (wrong != std::errc() || last != end || error.message.starts_with("Line ")) return {};
  const auto line = line_of_change(body, index);
  return "Change " + std::to_string(index + 1) + (line ? " (line " + std::to_string(*line) + ")" : "") + ": ";
}

void submit(Session& session, const HandIn& how, const std::string& body, const std::optional<std::string>& run,
            const std::string& project = {}) {
  using Clock = std::chrono::steady_clock;
  const auto timeout = read_timeout(how);
  const auto begin = Clock::now();
  const auto patience =
      std::min<std::chrono::milliseconds>(timeout.value_or(std::chrono::minutes(1)), std::chrono::minutes(1));
  auto reply = session.client(patience).submit(body, {}, project, how.copies);
  if (!reply && !session.json)
    reply.error().message = which_change(session.field_at_fault(), reply.error(), body) + reply.error().message;
  const bool hint = !how.wait && session.style.width > 0;
  const auto text = [&](const api::SubmitReply& accepted) { return view(accepted, run, hint); };
  if (!show(session, reply, text) || !how.wait) return;
  std::fflush(stdout);  // who reads it need not wait, too
  client::WaitFor what;
  what.changes = reply->value.ids;
  if (timeout)
    what.timeout = std::max(std::chrono::milliseconds(0),
                            std::chrono::ceil<std::chrono::milliseconds>(begin + *timeout - Clock::now()));
  wait_for(session, what);
}

}  // namespace

void HandIn::add_wait_to(Verb& verb) {
  verb.flag("--wait", wait, "Wait until the server has it");
  verb.optional("--timeout TIME", timeout, "With --wait: give up after this time: 30s, 5m, 1h (default: never)");
}

void HandIn::add_to(Verb& verb) {
  verb.optional("--idempotency-key KEY", idempotency_key,
                "A word of your choice: with the same one, it is taken once however often it is handed in");
  add_wait_to(verb);
}

std::optional<std::string> project_at_hand() {
  const char* project = std::getenv("NEPTUNE_PROJECT");
  return project && *project ? std::optional<std::string>(project) : std::nullopt;
}

void add_project(Verb& verb, std::string& project) {
  verb.from_environment("--project PROJECT", project, "NEPTUNE_PROJECT", "The project, as workspace/project");
}

const std::string& named_project(const std::string& project) {
  if (project.empty())
    wrong_usage("--project", "Say which project it is: --project workspace/project, or $NEPTUNE_PROJECT.");
  return project;
}

void hand_in(Session& session, const HandIn& how, ChangeText change, const std::string& project,
             const std::optional<std::string>& run) {
  change.text("project", named_project(project));
  change.text("idempotency_key", how.idempotency_key);
  submit(session, how, change.str(), run);
}

void hand_in_to_workspace(Session& session, const HandIn& how, ChangeText change, const std::string& workspace) {
  change.text("workspace", workspace);
  change.text("idempotency_key", how.idempotency_key);
  submit(session, how, change.str(), {});
}

void hand_in_body(Session& session, const HandIn& how, const std::string& body, const std::string& project) {
  submit(session, how, body, {}, project);
}

std::optional<std::string> step_json(const std::optional<std::string>& step, const std::string& option) {
  if (!step) return std::nullopt;
  auto number = number_json(*step);
  if (!number) wrong_usage(option, "'" + *step + "' is no number, or too large; write it as in " + option + " 12.");
  if (number->starts_with('-')) wrong_usage(option, "'" + *step + "' is negative; steps begin at 0.");
  return number;
}

}  // namespace neptune::cli
