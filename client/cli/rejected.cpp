#include <unistd.h>

#include <CLI/App.hpp>
#include <memory>

#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::int64_t id = 0, before = 0;
  std::uint32_t limit = 100;
  bool payload = false;
};

using Shared = std::shared_ptr<Arguments>;

void list(Session& session, const Arguments& arguments) {
  const auto text = [&session](const api::RejectedList& page) {
    return view(page, session.style, std::chrono::system_clock::now());
  };
  show(session, session.client().rejected(arguments.before, arguments.limit), text);
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

CLI::App* add_one(CLI::App& verb, const char* name, const char* description, const Shared& arguments) {
  auto* one = verb.add_subcommand(name, description);
  one->add_option("ID", arguments->id, "The change's number, as `neptune-sync rejected` lists it")
      ->required()
      ->check(CLI::PositiveNumber);
  return one;
}

}  // namespace

void add_rejected(CLI::App& app, Session& session) {
  auto* verb = app.add_subcommand("rejected", "The changes the server refused for good");
  const auto arguments = std::make_shared<Arguments>();
  verb->add_option("--before", arguments->before, "Those older than this number")->check(CLI::PositiveNumber);
  verb->add_option("--limit", arguments->limit, "How many at most")->check(CLI::Range(1, 1000))->capture_default_str();
  verb->require_subcommand(0, 1);
  verb->callback([&session, verb, arguments] {
    if (verb->get_subcommands().empty()) list(session, *arguments);
  });

  auto* show_verb = add_one(*verb, "show", "All that is known of one", arguments);
  show_verb->add_flag("--payload", arguments->payload, "Write its bytes to standard output");
  show_verb->callback([&session, arguments] {
    if (arguments->payload) return write_payload(session, arguments->id);
    const auto text = [&session](const api::Rejected& one) { return view(one, session.style); };
    show(session, session.client().rejected_one(arguments->id), text);
  });
  add_one(*verb, "retry", "Send one again", arguments)->callback([&session, arguments] {
    show(session, session.client().retry(arguments->id), message_of);
  });
  add_one(*verb, "discard", "Drop one for good", arguments)->callback([&session, arguments] {
    show(session, session.client().discard(arguments->id), message_of);
  });
}

}  // namespace neptune::cli
