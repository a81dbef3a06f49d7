#include "client/cli/hand_in.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

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

void submit(Session& session, const HandIn& how, const std::string& change, const std::optional<std::string>& run) {
  const Handing handing(session, how);
  const auto reply = handing.submit(change, {.copies = how.copies});
  Accepted accepted;
  if (reply) accepted.add(reply->value);
  if (show(session, reply, [&](const api::SubmitReply&) { return handing.told(accepted, run); }))
    handing.wait(accepted.ids);
}

}  // namespace

Handing::Handing(Session& session, const HandIn& how)
    : session_(session), wait_(how.wait), timeout_(read_timeout(how)) {
  if (const auto which = session.which_daemon(); !which.empty()) std::fputs(message(which).c_str(), stderr);
}

Result<client::Reply<api::SubmitReply>> Handing::submit(std::string_view body, const client::Submission& with) const {
  constexpr std::chrono::milliseconds longest = std::chrono::minutes(1);
  return session_.client(std::min(timeout_.value_or(longest), longest)).submit(body, with);
}

std::string Handing::told(const Accepted& accepted, const std::optional<std::string>& run) const {
  return view(accepted, run, !wait_ && session_.style.width > 0, session_.style.width);
}

void Handing::wait(const client::Ids& changes) const {
  if (!wait_) return;
  std::fflush(stdout);  // who reads it need not wait, too
  client::WaitFor what;
  what.changes = changes;
  if (timeout_)
    what.timeout = std::max(std::chrono::milliseconds(0),
                            std::chrono::ceil<std::chrono::milliseconds>(begin_ + *timeout_ - Clock::now()));
  wait_for(session_, what);
}

void HandIn::add_wait_to(Verb& verb) {
  verb.flag("--wait", wait, "Wait until the server has it");
  verb.optional("--timeout TIME", timeout, "With --wait: give up after this time: 30s, 5m, 1h (default: never)");
}

void HandIn::add_to(Verb& verb) {
  verb.optional("--idempotency-key KEY", idempotency_key,
                "A word of your choice: with the same one, it is taken once however often it is handed in");
  add_wait_to(verb);
}

void Sure::add_to(Verb& verb) {
  verb.flag("--yes", yes, "Don't ask first, as is done on a terminal");
}

bool Sure::ask(Session& session, const std::string& what) const {
  if (yes || ::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) return true;
  auto question = wrap(clean(what) + "? [y/N] ", terminal_width(STDERR_FILENO), "", "");
  question.back() = ' ';  // the answer stands behind it
  std::fputs(question.c_str(), stderr);
  std::string answer;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) answer += static_cast<char>(c);
  if (answer == "y" || answer == "Y" || answer == "yes") return true;
  session.fail_with({"not_sure", "Nothing was done."});
  return false;
}

std::optional<std::string> project_at_hand() {
  const char* project = std::getenv("NEPTUNE_PROJECT");
  return project && *project ? std::optional<std::string>(project) : std::nullopt;
}

void add_project(Verb& verb, std::string& project) {
  verb.from_environment("--project PROJECT", project, "NEPTUNE_PROJECT", "The project, as workspace/project");
}

void Project::add_to(Verb& verb) {
  verb.optional("PROJECT", argument, "The project, as workspace/project; or say --project");
  add_project(verb, name);
}

std::string Project::named() const {
  if (!argument) return named_project(name);
  if (!name.empty() && name != *argument && name != project_at_hand())
    wrong_usage("PROJECT", "Two are named, " + *argument + " and " + name + "; name one.");
  return *argument;
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

std::optional<std::string> step_json(const std::optional<std::string>& step, const std::string& option) {
  if (!step) return std::nullopt;
  auto number = number_json(*step);
  if (!number) wrong_usage(option, "'" + *step + "' is no number, or too large; write it as in " + option + " 12.");
  if (number->starts_with('-')) wrong_usage(option, "'" + *step + "' is negative; steps begin at 0.");
  return number;
}

}  // namespace neptune::cli
