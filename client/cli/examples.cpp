#include "client/cli/examples.h"

#include <array>

namespace neptune::cli {

namespace {

struct Example {
  const char* arguments;
  const char* text;
};

constexpr std::array all{
    Example{"status", "What is synced, what waits, and why."},
    Example{"status --json", "The same for a script."},
    Example{"explain trial-7", "Why that run is not on the server yet, and what would make it move."},
    Example{"explain ./runs", "The same of all logs in a folder."},
    Example{"doctor", "Go through configuration, permissions, limits and the way to the server."},
    Example{"doctor --config ~/.config/neptune-syncd/config.toml",
            "The same with a configuration that is not the usual one."},
    Example{"watch", "The state of things on the whole terminal, until q is pressed."},
    Example{"streams --project ml-team", "Each run of a workspace, and what it waits for."},
    Example{"streams --run trial-7", "Where one run is."},
    Example{"events --since 120", "What happened after event 120."},
    Example{"events -f", "What happens from now on, until Ctrl-C."},
    Example{"rejected", "What the server refused for good, and why."},
    Example{"rejected list --limit 10", "The last ten of them."},
    Example{"rejected show 12", "All that is known of one of them."},
    Example{"rejected show 12 --payload > change.bin", "Its bytes."},
    Example{"rejected retry 12", "Send it again, once its cause is mended."},
    Example{"rejected retry --run trial-7", "Send all of that run again, oldest first."},
    Example{"rejected discard 12", "Drop it for good."},
    Example{"rejected discard --project ml-team/lab", "Drop all of a project for good."},
    Example{"rejected export --all > rejected.jsonl", "Keep the refused changes with their bytes."},
    Example{"hold ml-team/lab", "Send nothing of that project."},
    Example{"hold ml-team", "Send nothing of a whole workspace."},
    Example{"release ml-team/lab --dry-run", "How much a release would let go."},
    Example{"release ml-team/lab", "Let it go."},
    Example{"discard ml-teem/lab", "Throw away what was handed in for a mistyped project."},
    Example{"discard ml-team/lab --run trial-7", "The same of one run; also when its log was removed too early."},
    Example{"discard ml-team/lab --model FORREST", "The same of one model, or model version."},
    Example{"probe vision", "Ask the server now whether the workspace takes writes again."},
    Example{"flush", "Try everything now, and look through the folders."},
    Example{"tidy --dry-run", "Which logs are synced and could be removed, and why the others stay."},
    Example{"tidy ./runs", "Remove those below a folder."},
    Example{"queue check", "What is wrong with the queue on disk, and what a repair would do."},
    Example{"queue check --repair", "Repair it."},
    Example{"export --move /media/stick/unsent.jsonl", "Take what is not sent to a machine that reaches the server."},
    Example{"export unsent.jsonl", "A copy of it; it is sent from here as well."},
    Example{"import /media/stick/unsent.jsonl", "Take it in on that machine, whose daemon is stopped meanwhile."},
    Example{"wait --run trial-7 --timeout 10m", "At the end of a job's script: until the run is synced."},
    Example{"wait --project ml-team/lab --now", "Until all that is there of a project now is synced."},
    Example{"project create ml-team/lab --visibility workspace", "Create a project."},
    Example{"project update ml-team/lab --description 'Small runs'", "Say what it is for."},
    Example{"project archive ml-team/lab", "Keep it, and let nobody write to it any more."},
    Example{"project unarchive ml-team/lab", "Let it be written to again."},
    Example{"project delete ml-team/lab --wait", "Delete it, and wait until it is gone."},
    Example{"project list ml-team", "All projects of a workspace, as the server lists them."},
    Example{"project storage-limit ml-team/lab --bytes 50GB", "Let it have so much at most."},
    Example{"project storage-limit ml-team/lab --none", "Lift its limit."},
    Example{"project metadata ml-team/lab owner=jackie", "Set a value of the project itself."},
    Example{"project members add jackie --role owner --project ml-team/lab", "Make somebody an owner."},
    Example{"project members update jackie --role viewer --project ml-team/lab", "Give them another role."},
    Example{"project members remove jackie --project ml-team/lab", "Take them out of it."},
    Example{"project members list ml-team/lab", "Who has which role."},
    Example{"project accounts add ci --role contributor --project ml-team/lab", "Let a service account write."},
    Example{"project accounts update ci --role viewer --project ml-team/lab", "Let it only read."},
    Example{"project accounts remove ci --project ml-team/lab", "Take it out of the project."},
    Example{"project accounts list ml-team/lab", "Which accounts have which role."},
    Example{"workspace invite ml-team --user jackie --role owner", "Invite somebody who has an account."},
    Example{"workspace invite ml-team --email sam@example.org --wait", "By their address, and wait for the server."},
    Example{"run create trial-7 --project ml-team/lab", "Create a run."},
    Example{"run create t-8 --fork-run t-7 --fork-step 9 --project ml-team/lab", "Go on from step 9 of another."},
    Example{"run log trial-7 loss=0.31 --step 12 --project ml-team/lab", "Log a point of a series."},
    Example{"run log trial-7 lr=0.1 optimizer=adam --project ml-team/lab", "Set values."},
    Example{"run tag trial-7 best --project ml-team/lab", "Tag a run."},
    Example{"run untag trial-7 best --project ml-team/lab", "Take the tag off."},
    Example{"run upload trial-7 models/best best.pt --project ml-team/lab",
            "Upload a file as the attribute models/best."},
    Example{"run upload trial-7 plot loss.png --copy --project ml-team/lab",
            "One that will not stay: the daemon keeps a copy."},
    Example{"run trash trial-7 --project ml-team/lab", "Move it to the trash."},
    Example{"run restore trial-7 --project ml-team/lab", "Take it out of the trash."},
    Example{"run delete trial-7 trial-8 --project ml-team/lab", "Delete two for good."},
    Example{"run archive trial-7 --project ml-team/lab", "Archive it."},
    Example{"run unarchive trial-7 --project ml-team/lab", "Take it out of the archive."},
    Example{"model create FOREST --project ml-team/lab", "Create a model."},
    Example{"model version FOREST --project ml-team/lab", "Create a version of it."},
    Example{"model update FOREST-1 stage=production --project ml-team/lab", "Set a value of the version."},
    Example{"trash empty ml-team/lab", "Empty a project's trash; on a terminal, it asks first."},
    Example{"trash empty ml-team/lab --yes", "Without asking."},
    Example{"change -f changes.ndjson", "Hand in a file of changes."},
    Example{"change", "What comes on standard input, through a pipe say."},
    Example{"change -f changes.ndjson --project ml-team/lab --wait",
            "The same of one project, and wait for the server."},
    Example{"change -f changes.ndjson --skip 200000",
            "The rest of a long file of which the first 200,000 changes are accepted."},
    Example{"completion bash > neptune-sync.bash", "For bash, which `source neptune-sync.bash` has read it."},
    Example{"completion fish > ~/.config/fish/completions/neptune-sync.fish", "For fish."}};

}  // namespace

std::vector<man::Entry> examples() {
  std::vector<man::Entry> entries;
  entries.reserve(all.size());
  for (const auto& [arguments, text] : all) entries.push_back({std::string("neptune-sync ") + arguments, text});
  return entries;
}

}  // namespace neptune::cli
