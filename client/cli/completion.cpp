#include "client/completions/completions.h"

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "client/cli/verb.h"
#include "client/cli/verbs.h"
#include "client/lib/names.h"

namespace neptune::cli {

namespace {

// Somebody waits at the prompt.
constexpr auto patience = std::chrono::seconds(1);

constexpr std::array shells{"bash", "fish", "zsh"};
constexpr std::array known_to_the_daemon{"scopes", "projects", "runs", "names"};

/// The names the daemon knows, one a line. Without a daemon there are none to offer.
void print_names(Session& session, const std::string& what) {
  const client::Client client({session.client().socket(), patience});
  std::set<std::string> names;
  if (what == "runs" || what == "names") {
    const auto reply = client.streams({});
    if (!reply) return session.fail_with(reply.error());
    for (const auto& stream : reply->value.streams)
      if (stream.container_type == "run" || (what == "names" && stream.container_type.starts_with("model")))
        names.insert(stream.container);
  }
  if (what != "runs") {
    const auto reply = client.status();
    if (!reply) return session.fail_with(reply.error());
    for (const auto& name : api::scope_names(reply->value))
      if (what != "projects" || name.find('/') != std::string::npos) names.insert(name);
  }
  for (const auto& name : names) session.print(clean(name) + "\n");
}

}  // namespace

void add_completion(Verb& top, Session& session, std::function<man::Command()> tree) {
  auto verb = top.add("completion", "Print the completion script of a shell");
  const auto what = std::make_shared<std::string>();
  verb.required("SHELL", *what,
                "bash, zsh or fish; or what such a script asks for: scopes, projects, runs, names or shells");
  verb.action([&session, what, tree = std::move(tree)] {
    if (*what == "bash")
      session.print(completions::bash(tree()));
    else if (*what == "zsh")
      session.print(completions::zsh(tree()));
    else if (*what == "fish")
      session.print(completions::fish(tree()));
    else if (*what == "shells")
      for (const auto* shell : shells) session.print(std::string(shell) + "\n");
    else if (std::ranges::find(known_to_the_daemon, *what) != known_to_the_daemon.end())
      print_names(session, *what);
    else
      wrong_usage("SHELL", "It is one of bash, zsh and fish, not '" + *what + "'.");
  });
}

}  // namespace neptune::cli
