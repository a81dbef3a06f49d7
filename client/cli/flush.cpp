#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"

namespace neptune::cli {

void add_flush(Verb& top, Session& session) {
  auto verb = top.add(
      "flush", "Try everything now, without waiting for the next retry; but for an API token that the server refused");
  verb.action([&session] {
    const auto client = session.client();
    const auto text = [&client](const api::FlushReply& reply) {
      const auto status = client.status();
      return view(reply, status ? status->value : api::Status{});
    };
    show(session, client.flush(), text);
  });
}

}  // namespace neptune::cli
