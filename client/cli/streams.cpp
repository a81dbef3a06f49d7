#include <CLI/App.hpp>
#include <memory>

#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

void add_streams(CLI::App& app, Session& session) {
  auto* verb = app.add_subcommand("streams", "The runs the daemon syncs, where each is, and what it waits for");
  const auto query = std::make_shared<client::StreamQuery>();
  verb->add_option("--project", query->project, "Only those of a workspace/project, or of a workspace");
  verb->add_option("--run", query->run, "Only those of a run id");
  verb->callback([&session, query] {
    const auto text = [&session](const api::StreamList& list) {
      return view(list, session.style, std::chrono::system_clock::now());
    };
    show(session, session.client().streams(*query), text);
  });
}

}  // namespace neptune::cli
