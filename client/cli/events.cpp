#include <cstdio>
#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::optional<std::uint64_t> since{};
  bool follow = false;
};

void print_events(Session& session, const Arguments& arguments) {
  auto stream = session.client().events(arguments.since, arguments.follow);
  if (!stream) return session.fail_with(stream.error());
  for (;;) {
    const auto events = stream->next(client::Deadline::max());
    if (!events && events.error().code == "stream_ended") return;
    if (!events) return session.fail_with(events.error());
    for (const auto& event : *events)
      session.print(session.json ? event.json + "\n" : view(event.value, session.style));
    std::fflush(stdout);
  }
}

}  // namespace

void add_events(Verb& top, Session& session) {
  auto verb = top.add("events", "What happened lately");
  const auto arguments = std::make_shared<Arguments>();
  verb.optional("--since NUMBER", arguments->since, "Only those after the event with this number, the first column");
  verb.flag("-f,--follow", arguments->follow, "Go on with what happens from now on");
  verb.action([&session, arguments] { print_events(session, *arguments); });
}

}  // namespace neptune::cli
