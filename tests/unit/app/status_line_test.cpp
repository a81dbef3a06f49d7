#include "app/status_line.h"

#include <gtest/gtest.h>

namespace neptune::app {
namespace {

/// One workspace with one project; everything is well.
api::Status well() {
  api::Status status;
  status.server.reachable = true;
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "vision";
  workspace.projects.emplace_back().name = "segmentation";
  return status;
}

TEST(StatusLine, SaysThatAllIsSynced) {
  EXPECT_EQ(status_line(well()), "All is synced");
}

TEST(StatusLine, SaysHowMuchWaits) {
  auto status = well();
  status.totals.pending = 3;
  status.totals.in_flight = 1;
  EXPECT_EQ(status_line(status), "4 changes to be synced");
}

TEST(StatusLine, SaysFirstWhatIsReadOnly) {
  auto status = well();
  status.totals.pending = 3;
  status.problems.emplace_back("The disk is full.");
  auto& workspace = status.workspaces[0];
  workspace.mode = workspace.projects[0].mode = "read_only";
  workspace.held = 51;
  workspace.reason = "storage limit";
  EXPECT_EQ(status_line(status), "vision is read-only (storage limit); 51 changes wait on disk");
  status.workspaces.push_back(workspace);
  EXPECT_EQ(status_line(status), "vision and 1 more are read-only; 102 changes wait on disk");
}

TEST(StatusLine, NamesAProjectThatIsReadOnlyByItself) {
  auto status = well();
  status.workspaces[0].projects[0].mode = "read_only";
  status.workspaces[0].projects[0].held = 1;
  EXPECT_EQ(status_line(status), "vision/segmentation is read-only; 1 change waits on disk");
}

TEST(StatusLine, NamesAFolderOrALogThatIsSetAsideWhereAllElseIsSynced) {
  auto status = well();
  auto& folder = status.sources.emplace_back();
  folder.kind = "watch";
  folder.path = "/runs";
  folder.state = "set_aside";
  folder.detail = "/runs cannot be read";
  EXPECT_EQ(status_line(status), "/runs cannot be read");
  status.sources.push_back(folder);
  EXPECT_EQ(status_line(status), "/runs and 1 more are set aside: /runs cannot be read");
}

TEST(StatusLine, NamesALogThatWasRemovedBeforeItWasSynced) {
  auto status = well();
  status.totals.pending = 3;
  api::SourceStatus gone;
  gone.state = "gone";
  gone.detail = "/runs/a was removed with 2 changes of r1 that were not synced";
  status.sources.push_back(gone);
  EXPECT_EQ(status_line(status), "/runs/a was removed with 2 changes of r1 that were not synced");
  status.sources.push_back(gone);
  EXPECT_EQ(status_line(status), "/runs/a was removed with 2 changes of r1 that were not synced; and 1 more");
}

TEST(StatusLine, SaysWhatWasMovedToAnotherMachineWhereAllElseIsSynced) {
  auto status = well();
  status.moved = {{"ml-team/lab", 50, "stick.jsonl", {}}, {"vision/x", 1, "stick.jsonl", {}}};
  EXPECT_EQ(status_line(status), "All else is synced: 51 changes moved to another machine in stick.jsonl");
  status.totals.pending = 3;
  EXPECT_EQ(status_line(status), "3 changes to be synced");
}

TEST(StatusLine, NamesTheFileOfATokenThatIsNotThere) {
  auto status = well();
  status.server.reachable = false;
  status.server.last_error = status.server.token_problem = "the API token file /etc/token cannot be read";
  status.server.token_remedy = "Put another into /etc/token.";
  status.totals.pending = 3;
  EXPECT_EQ(status_line(status),
            "There is no API token to use: the API token file /etc/token cannot be read. 3 changes wait on disk");
}

TEST(StatusLine, DoesNotTakeATokenThatIsRefusedForAServerThatIsAway) {
  auto status = well();
  status.server.reachable = false;
  status.server.last_error = "the server does not accept the API token; replace it";
  status.server.token_remedy = "Put another into /etc/token.";
  status.totals.pending = 3;
  EXPECT_EQ(status_line(status),
            "The server does not accept the API token. Put another into /etc/token. 3 changes wait on disk");
}

TEST(StatusLine, SaysWhatIsWrongBeforeWhatIsHeldOnPurpose) {
  auto status = well();
  status.workspaces[0].mode = "held";
  status.workspaces[0].held = 2;
  EXPECT_EQ(status_line(status), "vision is held by an operator; 2 changes wait on disk");
  status.server.reachable = false;
  status.server.last_error = "The token was refused.";
  EXPECT_EQ(status_line(status), "The server is not reached: The token was refused. 0 changes wait on disk");
  status.problems.emplace_back("The disk is full.");
  EXPECT_EQ(status_line(status), "The disk is full.");
}

}  // namespace
}  // namespace neptune::app
