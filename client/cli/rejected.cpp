#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"
#include "client/lib/json.h"
#include "client/lib/names.h"
#include "support/base64.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::int64_t id = 0, before = 0, limit = 100;
  bool payload = false;
};

/// Which of the rejected changes are meant.
struct Chosen {
  std::int64_t id = 0;  ///< 0: not by number
  bool all = false;
  std::optional<std::string> project{}, run{};
};

using Shared = std::shared_ptr<Arguments>;

void list(Session& session, const Arguments& arguments) {
  const auto text = [&session](const api::RejectedList& page) {
    return view(page, session.style, std::chrono::system_clock::now());
  };
  show(session, session.client().rejected(arguments.before, static_cast<std::uint32_t>(arguments.limit)), text);
}

void write_payload(Session& session, std::int64_t id) {
  if (::isatty(STDOUT_FILENO) != 0)
    return session.fail_with({"terminal", "The payload is bytes, not text: send it to a file, as in `> change.bin`."});
  const auto payload = session.client().rejected_payload(id);
  if (!payload) return session.fail_with(payload.error());
  session.print(*payload);
}

std::string message_of(const api::RejectedReply& reply) {
  return clean(reply.message) + "\n";
}

constexpr std::uint32_t page = 1000;

/// The chosen ones, oldest first: in that order they are sent again. Errors: as of `rejected`.
Result<std::vector<api::Rejected>> find(const client::Client& client, const Chosen& chosen) {
  std::vector<api::Rejected> found;
  if (chosen.id > 0) {
    auto one = client.rejected_one(chosen.id);
    if (!one) return std::unexpected(one.error());
    found.push_back(std::move(one->value));
    return found;
  }
  std::int64_t before = 0;
  do {
    auto reply = client.rejected(before, page);
    if (!reply) return std::unexpected(reply.error());
    for (auto& one : reply->value.rejected) {
      const bool project = !chosen.project || api::within(one.project, *chosen.project);
      // A run's files are streams of their own.
      const bool run = !chosen.run ||
                       (one.container == *chosen.run && (one.container_type == "run" || one.container_type == "files"));
      if (project && run) found.push_back(std::move(one));
    }
    before = reply->value.next_before.value_or(0);
  } while (before > 0);
  std::ranges::reverse(found);
  return found;
}

std::string name_of(const Chosen& chosen) {
  if (!chosen.run) return chosen.project.value_or("");
  return "run " + *chosen.run + (chosen.project ? " of " + *chosen.project : "");
}

/// After none was found: whether the name is known here at all. Errors: "unknown_name", with what may be meant.
Result<std::string> none_kept(const client::Client& client, const Chosen& chosen) {
  if (chosen.all) return "No change is kept as rejected.\n";
  const auto status = client.status();
  if (!status) return std::unexpected(status.error());
  const auto streams = client.streams({});
  if (!streams) return std::unexpected(streams.error());
  const auto fits = [&chosen](const api::Stream& stream) {
    const bool of_project = !chosen.project || api::within(stream.project, *chosen.project);
    return of_project && (!chosen.run || stream.container == *chosen.run);
  };
  const auto scopes = api::scope_names(status->value);
  const bool known = std::ranges::any_of(streams->value.streams, fits) ||
                     (!chosen.run && std::ranges::find(scopes, chosen.project) != scopes.end());
  if (known) return "No change of " + name_of(chosen) + " is kept as rejected.\n";
  const auto meant = chosen.run
                         ? api::did_you_mean(*chosen.run, api::container_names(status->value, streams->value.streams))
                         : api::did_you_mean(*chosen.project, scopes);
  return fail("unknown_name",
              "No change of " + name_of(chosen) + " is kept as rejected, and nothing of it is known here." + meant);
}

void check(const Chosen& chosen) {
  const bool by_name = chosen.project || chosen.run;
  const int ways = (chosen.id > 0) + chosen.all + by_name;
  if (ways == 0) wrong_usage("ID", "Say which: one ID, --all, or --run and --project.");
  if (ways > 1) wrong_usage("ID", "One ID, --all, and --run or --project exclude each other; give one of them.");
}

/// `does` of one after the other, up to the first that fails; one that is gone meanwhile is passed over.
template <class Does>
void each(Session& session, const Chosen& chosen, Does does, const char* done) {
  check(chosen);
  const auto client = session.client();
  if (chosen.id > 0) {
    show(session, does(client, chosen.id), message_of);
    return;
  }
  const auto found = find(client, chosen);
  if (!found) return session.fail_with(found.error());
  const auto none = found->empty() ? none_kept(client, chosen) : Result<std::string>();
  if (!none) return session.fail_with(none.error());
  std::uint64_t count = 0;
  for (const auto& one : *found) {
    const auto reply = does(client, one.id);
    if (reply) ++count;
    if (!reply && reply.error().code != "unknown_rejected") {
      session.fail_with(reply.error());
      break;
    }
  }
  if (session.json)
    session.print(fmt::format("{{\"done\":{}}}\n", count));
  else if (found->empty() || count > 0 || session.exit == Exit::done)
    session.print(found->empty() ? *none : fmt::format("{} {}.\n", changes(count), done));
}

/// One a line, with its bytes: JSON as the daemon gives it, and "payload" in base64. Where "part" names attributes, the
/// payload has the others, too.
void write_out(Session& session, const Chosen& chosen) {
  check(chosen);
  const auto client = session.client();
  const auto found = find(client, chosen);
  if (!found) return session.fail_with(found.error());
  const auto none = found->empty() ? none_kept(client, chosen) : Result<std::string>();
  if (!none) return session.fail_with(none.error());
  for (const auto& one : *found) {
    const auto payload = client.rejected_payload(one.id);
    if (!payload) return session.fail_with(payload.error());
    session.print(api::to_json(api::ExportedRejection{one, encode_base64(*payload)}) + "\n");
  }
}

void add_choice(Verb& verb, const std::shared_ptr<Chosen>& chosen) {
  verb.positive("ID", chosen->id, "The change's number, as `neptune-sync rejected` lists it");
  verb.flag("--all", chosen->all, "All of them");
  verb.optional("--run RUN", chosen->run, "All of the run with this id");
  verb.optional("--project SCOPE", chosen->project, "All of a workspace/project, or of a workspace");
}

Verb add_one(Verb& verb, const char* name, const char* description, const Shared& arguments) {
  auto one = verb.add(name, description);
  one.required_positive("ID", arguments->id, "The change's number, as `neptune-sync rejected` lists it");
  return one;
}

}  // namespace

void add_rejected(Verb& top, Session& session) {
  auto verb = top.add("rejected", "The changes the server refused for good");
  const auto arguments = std::make_shared<Arguments>();
  const auto lists = [&session, arguments] { list(session, *arguments); };
  auto list_verb = verb.add("list", "List them, the newest first, as `neptune-sync rejected` alone does");
  for (auto* one : {&verb, &list_verb}) {
    one->positive("--before NUMBER", arguments->before, "Only those with a smaller number, the older ones");
    one->number("--limit NUMBER", arguments->limit, 1, 1000, "How many at most");
  }
  list_verb.action(lists);

  auto show_verb = add_one(verb, "show", "All that is known of one", arguments);
  show_verb.flag("--payload", arguments->payload, "Write its bytes, as they are, to standard output");
  show_verb.action([&session, arguments] {
    if (arguments->payload) return write_payload(session, arguments->id);
    const auto text = [&session](const api::Rejected& one) { return view(one, session.style); };
    show(session, session.client().rejected_one(arguments->id), text);
  });
  const auto chosen = std::make_shared<Chosen>();
  auto retry = verb.add("retry", "Send one again, or several: by ID, --all, or --run and --project");
  add_choice(retry, chosen);
  retry.action([&session, chosen] {
    const auto again = [](const client::Client& client, std::int64_t id) { return client.retry(id); };
    each(session, *chosen, again, "will be sent again");
  });
  auto discard = verb.add("discard", "Drop one for good, or several: by ID, --all, or --run and --project");
  add_choice(discard, chosen);
  discard.action([&session, chosen] {
    const auto drop = [](const client::Client& client, std::int64_t id) { return client.discard(id); };
    each(session, *chosen, drop, "discarded");
  });
  auto write = verb.add("export", "Write them out as JSON, one a line, with their bytes in base64");
  add_choice(write, chosen);
  write.action([&session, chosen] { write_out(session, *chosen); });
  verb.action_alone(lists);
}

}  // namespace neptune::cli
