#include "client/cli/explanation/cures.h"

#include <algorithm>
#include <array>

#include "client/cli/explanation/sentences.h"
#include "client/cli/text.h"
#include "client/lib/modes.h"

namespace neptune::cli {

namespace {

struct Cure {
  std::string_view waiting_for;
  /// {run}, {project}, {workspace} stand for the stream's own.
  std::string_view next;
};

constexpr std::array cures{
    Cure{"turn", "It goes with the next free connection, within moments."},
    Cure{"sending", "It is on its way now; should no answer come, it is sent again."},
    Cure{"unconfirmed",
         "The daemon asks until the server says that it has stored it; what is not confirmed is sent again."},
    Cure{"recording",
         "Within moments. Only a full disk of the state directory could keep it, which `neptune-sync "
         "status` would say."},
    Cure{"counting", "It goes on as soon as that is done."},
    Cure{"lookup", "It goes on within moments."},
    Cure{"paused",
         "The daemon takes over by itself when the client's own sync has ended, or was never there. A job "
         "that logs offline leaves its runs to the daemon from the beginning."},
    Cure{"earlier_source",
         "It goes on by itself when the older log is synced; `neptune-sync streams --run {run}` shows both."},
    Cure{"parent",
         "It goes on by itself once the parent is on the server; `neptune-sync explain` of the parent tells "
         "what that waits for."},
    Cure{"discovery", "Within seconds it is either found, or the server is asked for it."},
    Cure{"project",
         "It goes on by itself once the project is on the server; `neptune-sync explain {project}` tells "
         "what its create waits for."},
    Cure{"earlier_change",
         "It goes on by itself when those are on the server; `neptune-sync streams --project "
         "{project}` shows what they wait for."},
    Cure{"retry",
         "It is tried again by itself, ever more rarely; `neptune-sync flush` tries at once. Where the server "
         "refuses for want of a permission, that has to be mended there."},
    Cure{"doubt",
         "The server's answer may mean a full workspace or this one change. The daemon asks which, and tries "
         "again by itself: in the first case it is held, in the second rejected, and the rest goes on."},
    Cure{"server",
         "It is tried again by itself, ever more rarely; `neptune-sync flush` tries at once, and "
         "`neptune-sync doctor` goes the way to the server step by step."},
    Cure{"ramp", "It goes by itself: what was held is let go over a while, so that not all machines begin at once."},
    Cure{"source", "Mend that. It is tried again when the file changes, or with `neptune-sync flush`."},
    Cure{"set_aside", "Mend that. It is tried again when the file changes, or with `neptune-sync flush`."},
    Cure{"left_to_client", "The daemon takes over by itself what the client leaves when it ends."},
    Cure{"settling_in", "That takes seconds."},
    Cure{"blocked", "It is tried again by itself; `neptune-sync flush` tries at once."},
};

/// Where files need other words.
constexpr std::array file_cures{
    Cure{"earlier_change",
         "They go on by themselves once the run is on the server; `neptune-sync streams --run {run}` shows what its "
         "create waits for."},
    Cure{"retry",
         "They are tried again by themselves, with pauses up to a minute; `neptune-sync flush` tries at once. A file "
         "that the store answers to and never takes is rejected in the end, with its reason."},
    Cure{"sending", "They are on their way now, as many at once as [uploads] max_concurrent says."}};

}  // namespace

std::string cure(std::string_view waiting_for, const std::string& project, const std::string& run, bool of_files) {
  if (waiting_for.ends_with("_mode"))
    return api::end_of_read_only(clean(waiting_for.starts_with("project") ? project : workspace_of(project)));
  if (waiting_for.ends_with("_held"))
    return api::end_of_hold(clean(waiting_for.starts_with("project") ? project : workspace_of(project)));
  const auto own = std::ranges::find(file_cures, waiting_for, &Cure::waiting_for);
  const auto found = std::ranges::find(cures, waiting_for, &Cure::waiting_for);
  if (found == cures.end()) return {};
  std::string text(of_files && own != file_cures.end() ? own->next : found->next);
  replace_all(text, "{project}", clean(project));
  replace_all(text, "{workspace}", clean(workspace_of(project)));
  replace_all(text, "{run}", clean(run));
  return text;
}

std::string cure_of_token() {
  return "`neptune-sync doctor` goes the way to the server step by step, and says where a new one goes, and what has "
         "it "
         "read: then it is tried at once. About one that it refused the server is asked again every five minutes, and "
         "not "
         "sooner for a `neptune-sync flush`.";
}

std::string cure_of_missing(const std::string& command) {
  return "`" + command +
         "` creates it. What waits is tried again by itself, ever more rarely; `neptune-sync flush` tries at once.";
}

}  // namespace neptune::cli
