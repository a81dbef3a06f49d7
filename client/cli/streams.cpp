#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

void add_streams(Verb& top, Session& session) {
  auto verb = top.add("streams", "The runs the daemon syncs, where each is, and what it waits for");
  const auto query = std::make_shared<client::StreamQuery>();
  verb.optional("--project SCOPE", query->project, "Only those of a workspace/project, or of a workspace");
  verb.optional("--run RUN", query->run, "Only those of the run with this id");
  verb.action([&session, query] {
    const auto text = [&session](const api::StreamList& list) {
      return view(list, session.style, std::chrono::system_clock::now());
    };
    show(session, session.client().streams(*query), text);
  });
}

}  // namespace neptune::cli
