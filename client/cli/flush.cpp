#include <CLI/App.hpp>

#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

void add_flush(CLI::App& app, Session& session) {
  auto* verb = app.add_subcommand("flush", "Try everything now, without waiting for the next retry");
  verb->callback([&session] {
    const auto text = [](const api::FlushReply& reply) { return view(reply); };
    show(session, session.client().flush(), text);
  });
}

}  // namespace neptune::cli
