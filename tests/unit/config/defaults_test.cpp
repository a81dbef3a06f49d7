#include "config/impl/defaults.h"

#include <unistd.h>

#include "tests/unit/config/fixture.h"

namespace neptune::config {
namespace {

using DefaultPlaces = ConfigTest;

TEST_F(DefaultPlaces, OfRootAreTheSystems) {
  EXPECT_EQ(impl::default_file(true), "/etc/neptune-syncd/config.toml");
  EXPECT_EQ(impl::default_state_dir(true), "/var/lib/neptune-syncd");
  EXPECT_EQ(impl::default_socket(true, "/state"), "/run/neptune-syncd/api.sock");
}

TEST_F(DefaultPlaces, OfAUserAreBelowTheHomeDirectory) {
  EXPECT_EQ(impl::default_file(false), "/home/jackie/.config/neptune-syncd/config.toml");
  EXPECT_EQ(impl::default_state_dir(false), "/home/jackie/.local/state/neptune-syncd");
  EXPECT_EQ(impl::default_socket(false, "/state"), "/state/api.sock");
}

TEST_F(DefaultPlaces, OfAUserFollowTheXdgVariables) {
  set("XDG_CONFIG_HOME", "/xdg/config");
  set("XDG_STATE_HOME", "/xdg/state");
  set("XDG_RUNTIME_DIR", "/run/user/1000");
  EXPECT_EQ(impl::default_file(false), "/xdg/config/neptune-syncd/config.toml");
  EXPECT_EQ(impl::default_state_dir(false), "/xdg/state/neptune-syncd");
  EXPECT_EQ(impl::default_socket(false, "/state"), "/run/user/1000/neptune-syncd/api.sock");
  EXPECT_EQ(impl::default_socket(true, "/state"), "/run/neptune-syncd/api.sock");
}

TEST_F(DefaultPlaces, TakeARelativeXdgVariableAsNotSet) {
  set("XDG_STATE_HOME", "state");
  EXPECT_EQ(impl::default_state_dir(false), "/home/jackie/.local/state/neptune-syncd");
}

TEST_F(DefaultPlaces, FollowSystemdWhoeverRunsTheDaemon) {
  set("STATE_DIRECTORY", "/var/lib/neptune-syncd:/var/lib/other");
  set("RUNTIME_DIRECTORY", "/run/neptune-syncd");
  for (const bool root : {true, false}) {
    EXPECT_EQ(impl::default_state_dir(root), "/var/lib/neptune-syncd");
    EXPECT_EQ(impl::default_socket(root, "/state"), "/run/neptune-syncd/api.sock");
  }
}

TEST_F(DefaultPlaces, AreUsedWhenThereIsNoFile) {
  set("XDG_CONFIG_HOME", directory_.native());
  if (geteuid() == 0 && std::filesystem::exists(default_path())) GTEST_SKIP() << "this machine has a configuration";
  const auto config = load(std::nullopt);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->file.empty());
  EXPECT_TRUE(config->warnings.empty());
  EXPECT_EQ(config->state_dir, impl::default_state_dir(geteuid() == 0));
  EXPECT_EQ(config->socket, impl::default_socket(geteuid() == 0, config->state_dir));
  EXPECT_EQ(config->server.max_in_flight, 4u);
  EXPECT_TRUE(config->watches.empty());
}

TEST_F(DefaultPlaces, SayWhichFileIsNotLookedAt) {
  const auto system = impl::default_file(true);
  if (std::filesystem::exists(system)) GTEST_SKIP() << "this machine has a configuration";
  set("XDG_CONFIG_HOME", directory_.native());
  const auto own = impl::default_file(false);
  EXPECT_EQ(about_default_path().absent, "There is no " + default_path().native() + "; what is built in holds.");
  EXPECT_EQ(about_default_path().overlooked, "");
  std::filesystem::create_directory(own.parent_path());
  std::ofstream(own) << "";
  const bool root = geteuid() == 0;
  EXPECT_EQ(about_default_path().absent.empty(), !root);
  EXPECT_EQ(about_default_path().overlooked, root ? own.native() + " is not looked at: root's configuration is " +
                                                        system.native() + ". Name it with --config if it is meant."
                                                  : "");
}

}  // namespace
}  // namespace neptune::config
