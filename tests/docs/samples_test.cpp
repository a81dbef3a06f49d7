#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "client/cli/explanation.h"
#include "client/cli/views.h"
#include "client/lib/time.h"
#include "engine/impl/checks.h"
#include "engine/impl/why.h"

// What the pages show of the program's output, against what it prints.
namespace neptune::cli {
namespace {

const Now now = api::parse_time("2026-01-02T12:00:00.000Z").value();
const Style as_shown{.colour = false, .width = 100};
constexpr std::uint64_t waiting_bytes = 18'300'000;

/// What a page shows below a command.
std::string sample(const std::string& page, const std::string& command) {
  std::ostringstream text;
  text << std::ifstream(std::filesystem::path(SOURCE_DIR) / page).rdbuf();
  const auto all = text.str();
  const auto line = "```console tested\n$ " + command + "\n";
  const auto at = all.find(line);
  if (at == std::string::npos) return page + " does not show " + command;
  const auto begin = at + line.size();
  return all.substr(begin, all.find("```", begin) - begin);
}

void make_full(api::WorkspaceStatus& vision) {
  vision.name = "vision";
  vision.mode = "read_only";
  vision.reason = "Storage limit exceeded";
  vision.since = "2026-01-02T09:45:00.000Z";
  vision.next_probe_at = "2026-01-02T12:08:00.000Z";
  auto& project = vision.projects.emplace_back();
  project.name = "segmentation";
  project.mode = vision.mode;
  project.inherited = true;
  for (auto* scope : {static_cast<api::ScopeStatus*>(&vision), static_cast<api::ScopeStatus*>(&project)}) {
    scope->held = 91872;
    scope->synced = 77102;
    scope->pending_bytes = scope->held_bytes = waiting_bytes;
    scope->oldest_pending_at = "2026-01-02T09:45:00.000Z";
  }
}

void make_busy(api::WorkspaceStatus& team) {
  team.name = "ml-team";
  auto& project = team.projects.emplace_back();
  project.name = "classification";
  for (auto* scope : {static_cast<api::ScopeStatus*>(&team), static_cast<api::ScopeStatus*>(&project)}) {
    scope->pending = 2210;
    scope->in_flight = 640;
    scope->synced = 1204311;
    scope->pending_bytes = 411'955;
    scope->oldest_pending_at = "2026-01-02T11:59:57.000Z";
  }
}

api::Status full_workspace() {
  api::Status status;
  status.version = "0.1.0";
  status.state = "running";
  status.started_at = "2025-12-29T11:00:00.000Z";
  status.server = {"https://neptune.example.org", true, "2026-01-02T11:59:58.000Z", std::nullopt};
  make_busy(status.workspaces.emplace_back());
  make_full(status.workspaces.emplace_back());
  status.totals.pending = 2210;
  status.totals.held = 91872;
  status.totals.in_flight = 640;
  status.totals.pending_bytes = waiting_bytes + 411'955;
  const auto add = [&status](const char* kind, const char* state, const char* path) {
    auto& source = status.sources.emplace_back();
    source.kind = kind;
    source.state = state;
    source.path = path;
  };
  add("watch", "watching", "/runs");
  add("run-log", "live", "/runs/vision_segmentation_trial-7_1767350000");
  add("run-log", "closed", "/runs/a");
  add("run-log", "closed", "/runs/b");
  return status;
}

TEST(Samples, OfWhatPagesShowOfOutputAreAllHeldAgainstTheProgramHere) {
  std::set<std::string> shown;
  std::vector<std::filesystem::path> pages{"README.md"};
  for (const auto& page : std::filesystem::recursive_directory_iterator(SOURCE_DIR "/docs"))
    if (page.path().extension() == ".md") pages.push_back(std::filesystem::relative(page.path(), SOURCE_DIR));
  const std::regex block("(^|\n)```console[^\n]*\n\\$ ([^\n]*)\n");
  for (const auto& page : pages) {
    std::ostringstream text;
    text << std::ifstream(std::filesystem::path(SOURCE_DIR) / page).rdbuf();
    const auto all = text.str();
    for (std::sregex_iterator it(all.begin(), all.end(), block), end; it != end; ++it)
      shown.insert(page.string() + ": " + (*it)[2].str());
  }
  EXPECT_EQ(shown, (std::set<std::string>{
                       "README.md: neptune-sync status", "docs/read-only-mode.md: neptune-sync status",
                       "docs/operations.md: neptune-sync explain trial-7", "docs/operations.md: neptune-sync doctor"}))
      << "what is new wants a test below";
}

TEST(Samples, TheStatusOfTheReadmeIsWhatIsPrinted) {
  EXPECT_EQ(sample("README.md", "neptune-sync status"), view(full_workspace(), as_shown, now));
}

TEST(Samples, TheProblemOnThePageOnReadOnlyModeIsWhatIsPrinted) {
  const auto shown = sample("docs/read-only-mode.md", "neptune-sync status");
  EXPECT_NE(shown.find("vision is read-only"), std::string::npos) << shown;
  EXPECT_NE(view(full_workspace(), as_shown, now).find(shown), std::string::npos)
      << view(full_workspace(), as_shown, now);
}

TEST(Samples, TheExplanationOfTheOperationsPageIsWhatIsPrinted) {
  const auto status = full_workspace();
  api::Stream stream;
  stream.project = "vision/segmentation";
  stream.container_type = "run";
  stream.container = "trial-7";
  stream.source = stream.id = status.sources[1].path;
  stream.state = "held";
  stream.waiting_for = "workspace_mode";
  stream.why = engine::why(std::vector<engine::Closed>{
      {.scope = Scope::of("vision"), .read_only = true, .reason = "Storage limit exceeded", .probe = "in 8 min"}});
  stream.held = 91872;
  stream.pending_bytes = waiting_bytes;
  stream.oldest_pending_at = "2026-01-02T09:45:00.000Z";
  const Question question{.text = "trial-7", .now = now};
  EXPECT_EQ(sample("docs/operations.md", "neptune-sync explain trial-7"),
            view(explain(question, status, {stream}), as_shown));
}

TEST(Samples, TheDiagnosisOfTheOperationsPageIsWhatIsPrinted) {
  using server::Step;
  api::Diagnosis diagnosis;
  auto& checks = diagnosis.checks;
  const auto* state_dir = "/var/lib/neptune-syncd";
  // These two are the command's own.
  checks.push_back({"daemon", "ok", "neptune-syncd answers on /run/neptune-syncd/api.sock", {}});
  checks.push_back({"socket", "ok", "/run/neptune-syncd/api.sock is yours to use (mode 0666)", {}});
  checks.push_back({"state", "ok", std::string("only the daemon reads and writes ") + state_dir, {}});
  engine::check_room(checks, state_dir, {.free = 430'000'000});
  engine::check_queue(checks, waiting_bytes, 20ull << 30);
  engine::check_files(checks, 524288, "the daemon");
  engine::check_inotify(checks, {12, 65536}, {2, 128});
  engine::check_processes(checks, true, true, "the daemon");
  engine::check_modes(checks, full_workspace().workspaces, now);
  engine::check_stuck(checks, {});
  engine::check_source(checks, full_workspace().sources[0]);
  const auto step = [&checks](Step::At at, Step::State state, const char* message) {
    engine::check_step(checks, {at, state, message}, "", "");
  };
  step(Step::At::name, Step::State::fine, "the host of https://neptune.example.org has an address");
  step(Step::At::connection, Step::State::fine, "a connection is made");
  step(Step::At::encryption, Step::State::failed,
       "the certificate of neptune.example.org cannot be trusted: self-signed certificate; if your organisation has a "
       "certificate authority of its own, name its certificate in ca_file");
  EXPECT_EQ(sample("docs/operations.md", "neptune-sync doctor"),
            view(diagnosis.checks, as_shown) + verdict(diagnosis, as_shown));
}

}  // namespace
}  // namespace neptune::cli
