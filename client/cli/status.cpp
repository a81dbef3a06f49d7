#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

void add_status(Verb& top, Session& session) {
  auto verb = top.add("status", "What is synced, what waits, and why; it ends with 5 while something is held");
  verb.action([&session] {
    const auto reply = session.client().status();
    const auto text = [&session](const api::Status& status) {
      return view(status, session.style, std::chrono::system_clock::now(), Length::whole, session.which_daemon());
    };
    if (show(session, reply, text) && anything_held(reply->value)) session.exit = held;
  });
}

}  // namespace neptune::cli
