#include <CLI/App.hpp>

#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

void add_status(CLI::App& app, Session& session) {
  auto* verb = app.add_subcommand("status", "What is synced, what waits, and why");
  verb->callback([&session] {
    const auto reply = session.client().status();
    const auto text = [&session](const api::Status& status) {
      return view(status, session.style, std::chrono::system_clock::now());
    };
    if (show(session, reply, text) && anything_held(reply->value)) session.exit = held;
  });
}

}  // namespace neptune::cli
