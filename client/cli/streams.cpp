#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

std::string none_such(const Session& session, const client::StreamQuery& query) {
  std::string text = "No such stream: nothing that matches was found in the watched folders or came over the socket.";
  const auto client = session.client();
  const auto status = client.status();
  const auto all = status ? client.streams({}) : std::unexpected(status.error());
  if (!all) return text + "\n";
  if (query.run) text += api::did_you_mean(*query.run, api::container_names(status->value, all->value.streams));
  if (query.project) text += api::did_you_mean(*query.project, api::scope_names(status->value));
  return wrap(clean(text), session.style.width, "", "");
}

}  // namespace

void add_streams(Verb& top, Session& session) {
  auto verb = top.add("streams", "The runs the daemon syncs, where each is, and what it waits for");
  const auto query = std::make_shared<client::StreamQuery>();
  verb.optional("--project SCOPE", query->project, "Only those of a workspace/project, or of a workspace");
  verb.optional("--run RUN", query->run, "Only those of the run with this id");
  verb.action([&session, query] {
    const auto text = [&session, &query](const api::StreamList& list) {
      return list.streams.empty() ? none_such(session, *query)
                                  : view(list, session.style, std::chrono::system_clock::now());
    };
    show(session, session.client().streams(*query), text);
  });
}

}  // namespace neptune::cli
