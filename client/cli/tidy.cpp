#include "client/lib/tidy.h"

#include <filesystem>
#include <memory>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/cli/views.h"
#include "client/lib/json.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::optional<std::string> path;
  bool dry_run = false;
};

/// As the daemon knows it: absolute, and without links.
Result<std::string> below(const Arguments& arguments) {
  if (!arguments.path) return {};
  std::error_code error;
  auto path = std::filesystem::canonical(*arguments.path, error).string();
  if (error) return fail("path_unreadable", "'" + *arguments.path + "' cannot be looked at: " + error.message() + ".");
  return path;
}

}  // namespace

void add_tidy(Verb& top, Session& session) {
  auto verb = top.add("tidy", "Remove run logs and 1.x directories that are fully synced and closed");
  const auto arguments = std::make_shared<Arguments>();
  verb.optional("PATH", arguments->path, "A watched folder, or a log in it; everything that is watched by default");
  verb.flag("--dry-run", arguments->dry_run, "Only tell what would be removed, and what stays");
  verb.action([&session, arguments] {
    const auto path = below(*arguments);
    if (!path) return session.fail_with(path.error());
    auto reply = session.client().tidy(*path, arguments->dry_run);
    if (!reply) return session.fail_with(reply.error());
    client::remove_yours(reply->value, arguments->dry_run);
    session.print(session.json ? api::to_json(reply->value) + "\n" : view(reply->value, session.style));
  });
}

}  // namespace neptune::cli
