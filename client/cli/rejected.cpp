#include <unistd.h>

#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::int64_t id = 0, before = 0, limit = 100;
  bool payload = false;
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

Verb add_one(Verb& verb, const char* name, const char* description, const Shared& arguments) {
  auto one = verb.add(name, description);
  one.required_positive("ID", arguments->id, "The change's number, as `neptune-sync rejected` lists it");
  return one;
}

}  // namespace

void add_rejected(Verb& top, Session& session) {
  auto verb = top.add("rejected", "The changes the server refused for good");
  const auto arguments = std::make_shared<Arguments>();
  verb.positive("--before", arguments->before, "Those older than this number");
  verb.number("--limit", arguments->limit, 1, 1000, "How many at most");

  auto show_verb = add_one(verb, "show", "All that is known of one", arguments);
  show_verb.flag("--payload", arguments->payload, "Write its bytes to standard output");
  show_verb.action([&session, arguments] {
    if (arguments->payload) return write_payload(session, arguments->id);
    const auto text = [&session](const api::Rejected& one) { return view(one, session.style); };
    show(session, session.client().rejected_one(arguments->id), text);
  });
  add_one(verb, "retry", "Send one again", arguments).action([&session, arguments] {
    show(session, session.client().retry(arguments->id), message_of);
  });
  add_one(verb, "discard", "Drop one for good", arguments).action([&session, arguments] {
    show(session, session.client().discard(arguments->id), message_of);
  });
  verb.action_alone([&session, arguments] { list(session, *arguments); });
}

}  // namespace neptune::cli
