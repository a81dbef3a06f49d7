#include <memory>

#include "client/cli/hand_in.h"
#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

/// `status`: from before it was asked for streams, so that what was read since is among these.
std::string none_such(const client::Client& client, const api::Status& status, const client::StreamQuery& query) {
  const auto unread = api::what_is_unread(status.sources, query.project, query.run);
  if (unread.named) return "No stream yet:" + unread.text;
  std::string text = "No such stream: nothing that matches was found in the watched folders or came over the socket.";
  const auto all = client.streams({});
  if (all && query.run) text += api::did_you_mean(*query.run, api::container_names(status, all->value.streams));
  if (query.project) text += api::did_you_mean(*query.project, api::scope_names(status));
  return text + unread.text;
}

/// Of runs of one name that of the project at hand, if it is there.
Result<client::Reply<api::StreamList>> ask(const client::Client& client, client::StreamQuery query) {
  if (query.run && !query.project) {
    if (const auto project = project_at_hand()) {
      auto here = client.streams({.project = project, .run = query.run});
      if (here && !here->value.streams.empty()) return here;
    }
  }
  return client.streams(query);
}

void list(Session& session, const client::StreamQuery& query) {
  const auto client = session.client();
  const auto status = client.status();
  if (!status) return session.fail_with(status.error());
  const auto reply = ask(client, query);
  const auto text = [&](const api::StreamList& list) {
    return list.streams.empty() ? wrap(clean(none_such(client, status->value, query)), session.style.width, "", "")
                                : view(list, session.style, std::chrono::system_clock::now());
  };
  show(session, reply, text);
}

}  // namespace

void add_streams(Verb& top, Session& session) {
  auto verb = top.add("streams", "The runs the daemon syncs, where each is, and what it waits for");
  const auto query = std::make_shared<client::StreamQuery>();
  verb.optional("--project SCOPE", query->project, "Only those of a workspace/project, or of a workspace");
  verb.optional("--run RUN", query->run,
                "Only those of the run with this id, in $NEPTUNE_PROJECT if it is there and --project is not given");
  verb.action([&session, query] { list(session, *query); });
}

}  // namespace neptune::cli
