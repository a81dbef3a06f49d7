#include <gmock/gmock.h>
#include <unistd.h>

#include <regex>

#include "config/impl/defaults.h"
#include "config/impl/keys.h"
#include "tests/unit/config/fixture.h"

namespace neptune::config {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

using Configuration = ConfigTest;

constexpr char certificate[] = R"(-----BEGIN CERTIFICATE-----
MIIBkDCCATegAwIBAgIUQpOQtjVhQXEWRotMeI8s8UI+y4cwCgYIKoZIzj0EAwIw
HTEbMBkGA1UEAwwSQSB0ZXN0J3MgYXV0aG9yaXR5MCAXDTI2MTEyOTExMTAwNloY
DzIxMjYxMTA1MTExMDA2WjAdMRswGQYDVQQDDBJBIHRlc3QncyBhdXRob3JpdHkw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASFKs+eFYJOkk5H6VPrUShXFScuHSz+
2K8ucIuKLSqafasPGGhDEJOGKNFRUIvU+If7AtoWJpFtzq9RlebDsPeGo1MwUTAd
BgNVHQ4EFgQUg+Ynixnug/FrKu2mu/ARUrUKvfswHwYDVR0jBBgwFoAUg+Ynixnu
g/FrKu2mu/ARUrUKvfswDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBE
AiAy4aYEgPMA8LQlAUx3xH/8qXc+prvkyAuTaYMV1xC/pAIgPC1alr/sB3akmD+u
0nbAmYgiCKwgp0dMz8PTzi1+r/w=
-----END CERTIFICATE-----
)";

std::string example() {
  std::ifstream in(EXAMPLE_FILE);
  return {std::istreambuf_iterator<char>(in), {}};
}

void expect_built_in(const Config& config) {
  EXPECT_EQ(config.log_level, "info");
  EXPECT_EQ(config.server.ca_file, "");
  EXPECT_FALSE(config.server.insecure);
  EXPECT_EQ(config.server.proxy, "");
  EXPECT_EQ(config.server.runs, "auto");
  EXPECT_EQ(config.server.max_in_flight, 4u);
  EXPECT_EQ(config.server.request_timeout, 60s);
  EXPECT_EQ(config.read_only.probe_interval, 30s);
  EXPECT_EQ(config.read_only.probe_interval_max, 15min);
  EXPECT_EQ(config.read_only.release_ramp, 30s);
  EXPECT_EQ(config.queue.max_bytes, 20ull << 30);
  EXPECT_EQ(config.queue.min_free_disk, 1ull << 30);
}

TEST_F(Configuration, TheExampleIsTheBuiltInDefaults) {
  const auto config = load(EXAMPLE_FILE);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->warnings, IsEmpty());
  expect_built_in(*config);
  EXPECT_EQ(config->state_dir, impl::default_state_dir(geteuid() == 0));
  EXPECT_EQ(config->server.api_token_file, "");
  EXPECT_TRUE(config->workspaces.empty());
  EXPECT_TRUE(config->watches.empty());
}

TEST_F(Configuration, TheExampleWithEverythingSwitchedOnIsUnderstood) {
  const auto all = std::regex_replace(example(), std::regex("(^|\n)#(?=[a-z\\[])"), "$1");
  const auto config = load_text(all);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->warnings, IsEmpty());
  expect_built_in(*config);
  EXPECT_EQ(config->state_dir, "/var/lib/neptune-syncd");
  EXPECT_EQ(config->socket, "/run/neptune-syncd/api.sock");
  EXPECT_EQ(config->server.api_token_file, "/etc/neptune-syncd/api-token");
  ASSERT_EQ(config->workspaces.size(), 1u);
  EXPECT_TRUE(config->workspaces[0].allow_users.empty());
  EXPECT_EQ(config->workspaces[0].priority, 1u);
  ASSERT_EQ(config->watches.size(), 1u);
  EXPECT_EQ(config->watches[0].kind, "auto");
  EXPECT_EQ(config->watches[0].project, "");
  EXPECT_EQ(config->watches[0].cleanup_after, 24h);
}

TEST_F(Configuration, TheExampleNamesEveryKey) {
  const auto text = example();
  for (const auto key : impl::known_keys()) {
    const auto dot = key.rfind('.');
    const std::string name(dot == std::string_view::npos ? key : key.substr(dot + 1));
    const bool named = std::regex_search(text, std::regex("(^|\n)#?(\\[+" + name + "\\]|" + name + " = )"));
    EXPECT_TRUE(named) << key;
  }
}

TEST_F(Configuration, TheLevelWarnMayBeCalledWarningToo) {
  for (const char* level : {"warn", "warning"}) {
    const auto config = load_text(std::string("log_level = \"") + level + "\"\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->log_level, level);
  }
}

TEST_F(Configuration, EveryKeyIsRead) {
  const auto certificates = write("ca.pem", certificate).native();
  const auto config = load_text(R"(
state_dir = "/srv/state/"
socket = "~/api.sock"
log_level = "debug"
[server]
api_token_file = "/t"
ca_file = ")" + certificates + R"("
insecure = true
proxy = "http://user:pw@proxy:3128"
max_in_flight = 8
request_timeout = "5s"
[[workspace]]
name = "vision"
api_token_file = "~/vision-token"
allow_users = ["jackie", "sam"]
priority = 3
[[workspace]]
name = "speech"
[[watch]]
path = "/srv/runs/"
kind = "run-logs"
project = "ml-team/classification"
cleanup_after = "never"
[[watch]]
path = "~/work/../.neptune"
kind = "client-1x"
cleanup_after = "0s"
takeover_after = "1h"
[read_only]
probe_interval = "1m"
probe_interval_max = "1h"
release_ramp = "0s"
[queue]
max_bytes = 1048576
min_free_disk = "0"
)");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->file, directory_ / "config.toml");
  EXPECT_EQ(config->state_dir, "/srv/state");
  EXPECT_EQ(config->socket, "/home/jackie/api.sock");
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->server.api_token_file, "/t");
  EXPECT_EQ(config->server.ca_file, certificates);
  EXPECT_TRUE(config->server.insecure);
  EXPECT_EQ(config->server.proxy, "http://user:pw@proxy:3128");
  EXPECT_EQ(config->server.max_in_flight, 8u);
  EXPECT_EQ(config->server.request_timeout, 5s);
  ASSERT_EQ(config->workspaces.size(), 2u);
  EXPECT_EQ(config->workspaces[0].name, "vision");
  EXPECT_EQ(config->workspaces[0].api_token_file, "/home/jackie/vision-token");
  EXPECT_THAT(config->workspaces[0].allow_users, ElementsAre("jackie", "sam"));
  EXPECT_EQ(config->workspaces[0].priority, 3u);
  EXPECT_EQ(config->workspaces[1].name, "speech");
  ASSERT_EQ(config->watches.size(), 2u);
  EXPECT_EQ(config->watches[0].path, "/srv/runs");
  EXPECT_EQ(config->watches[0].kind, "run-logs");
  EXPECT_EQ(config->watches[0].project, "ml-team/classification");
  EXPECT_FALSE(config->watches[0].cleanup_after);
  EXPECT_EQ(config->watches[1].path, "/home/jackie/.neptune");
  EXPECT_EQ(config->watches[1].cleanup_after, 0s);
  EXPECT_EQ(config->watches[0].takeover_after, 10min);
  EXPECT_EQ(config->watches[1].takeover_after, 1h);
  EXPECT_EQ(config->read_only.probe_interval, 1min);
  EXPECT_EQ(config->read_only.probe_interval_max, 1h);
  EXPECT_EQ(config->read_only.release_ramp, 0s);
  EXPECT_EQ(config->queue.max_bytes, 1u << 20);
  EXPECT_EQ(config->queue.min_free_disk, 0u);
}

TEST_F(Configuration, AnEmptyFileIsTheDefaults) {
  const auto config = load_text("");
  ASSERT_TRUE(config) << config.error().message;
  expect_built_in(*config);
}

TEST_F(Configuration, ANamedFileThatIsMissingIsAnError) {
  const auto config = load(directory_ / "nowhere.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, "config_unreadable");
  EXPECT_THAT(config.error().message, HasSubstr("nowhere.toml"));
  EXPECT_FALSE(load(directory_));
}

TEST_F(Configuration, AFileOfAbsurdSizeIsRefused) {
  EXPECT_THAT(refusal(std::string((1u << 20) + 1, '#')), HasSubstr("larger than"));
}

TEST_F(Configuration, ASyntaxErrorNamesFileAndLine) {
  EXPECT_THAT(refusal("log_level = \"info\"\n[server\n"), StartsWith("config.toml:2:"));
}

struct Mistake {
  const char* name;
  const char* text;
  const char* begins;  ///< file, line and key
  const char* advice;  ///< what to write
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

class Mistakes : public ConfigTest, public ::testing::WithParamInterface<Mistake> {};

TEST_P(Mistakes, AreRefusedWithFileLineKeyAndWhatToWrite) {
  const auto message = refusal(GetParam().text);
  EXPECT_THAT(message, StartsWith(GetParam().begins));
  EXPECT_THAT(message, HasSubstr(GetParam().advice));
}

constexpr Mistake kMistakes[] = {
    {"RelativeStateDir", "\nstate_dir = \"state\"", "config.toml:2: state_dir ", "\"/var/lib/neptune-syncd\""},
    {"EmptyStateDir", "state_dir = \"\"", "config.toml:1: state_dir ", "absolute"},
    {"NumberForPath", "state_dir = 3", "config.toml:1: state_dir ", "text in quotes"},
    {"RelativeSocket", "socket = \"./s\"", "config.toml:1: socket ", "absolute"},
    {"LongSocket",
     "socket = "
     "\"/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
     "0123456789\"",
     "config.toml:1: socket ", "shorter"},
    {"LogLevel", "log_level = \"loud\"", "config.toml:1: log_level ", "\"debug\""},
    {"ServerIsNoTable", "server = \"x\"", "config.toml:1: server ", "one table; write [server]"},
    {"TokenForTokenFile", "[server]\napi_token_file = \"eyJhcGki\"", "config.toml:2: server.api_token_file ",
     "absolute"},
    {"RelativeCaFile", "[server]\nca_file = \"ca.pem\"", "config.toml:2: server.ca_file ", "absolute"},
    {"MissingCaFile", "[server]\nca_file = \"/nowhere/ca.pem\"", "config.toml:2: server.ca_file ", "does not exist"},
    {"InsecureInQuotes", "[server]\ninsecure = \"no\"", "config.toml:2: server.insecure ", "true or false"},
    {"ProxyWithoutScheme", "[server]\nproxy = \"proxy:3128\"", "config.toml:2: server.proxy ", "http://"},
    {"ProxyWithoutPort", "[server]\nproxy = \"http://proxy\"", "config.toml:2: server.proxy ", ":3128"},
    {"ProxyOfAnotherKind", "[server]\nproxy = \"socks5://proxy:1080\"", "config.toml:2: server.proxy ", "http://"},
    {"RunsByAnUnknownWay", "[server]\nruns = \"ingest\"", "config.toml:2: server.runs ", "leaderboard"},
    {"NoneInFlight", "[server]\nmax_in_flight = 0", "config.toml:2: server.max_in_flight ", "1 to 64"},
    {"InFlightOverflows", "[server]\nmax_in_flight = 4294967297", "config.toml:2: server.max_in_flight ", "1 to 64"},
    {"InFlightInQuotes", "[server]\nmax_in_flight = \"4\"", "config.toml:2: server.max_in_flight ", "without quotes"},
    {"TimeoutWithoutUnit", "[server]\nrequest_timeout = 60", "config.toml:2: server.request_timeout ", "\"30s\""},
    {"TimeoutUnitless", "[server]\nrequest_timeout = \"60\"", "config.toml:2: server.request_timeout ", "ms, s, m, h"},
    {"TimeoutTooShort", "[server]\nrequest_timeout = \"1ms\"", "config.toml:2: server.request_timeout ", "\"1s\""},
    {"WorkspaceAsOneTable", "[workspace]\nname = \"a\"", "config.toml:1: workspace ", "[[workspace]]"},
    {"WorkspaceWithoutName", "\n[[workspace]]\npriority = 2", "config.toml:2: workspace.name ", "is missing"},
    {"WorkspaceNamedAsProject", "[[workspace]]\nname = \"a/b\"", "config.toml:2: workspace.name ", "\"ml-team\""},
    {"WorkspaceTwice", "[[workspace]]\nname = \"a\"\n[[workspace]]\nname = \"a\"", "config.toml:4: workspace.name ",
     "already"},
    {"UserIsNoList", "[[workspace]]\nname = \"a\"\nallow_users = \"jackie\"", "config.toml:3: workspace.allow_users ",
     "[\"jackie\"]"},
    {"UserIsNumber", "[[workspace]]\nname = \"a\"\nallow_users = [1000]", "config.toml:3: workspace.allow_users ",
     "quotes"},
    {"UserIsAList", "[[workspace]]\nname = \"a\"\nallow_users = [\"a, b\"]", "config.toml:3: workspace.allow_users ",
     "login names"},
    {"PriorityZero", "[[workspace]]\nname = \"a\"\npriority = 0", "config.toml:3: workspace.priority ", "1 to 100"},
    {"WatchAsOneTable", "[watch]\npath = \"/a\"", "config.toml:1: watch ", "write [[watch]] above it, in two brackets"},
    {"WatchWithoutPath", "[[watch]]\nkind = \"auto\"", "config.toml:1: watch.path ", "is missing"},
    {"WatchRelative", "[[watch]]\npath = \"runs\"", "config.toml:2: watch.path ", "absolute"},
    {"WatchTwice", "[[watch]]\npath = \"/a\"\n[[watch]]\npath = \"/a/\"", "config.toml:4: watch.path ", "already"},
    {"WatchOfOurState", "state_dir = \"/a\"\n[[watch]]\npath = \"/a\"", "config.toml:3: watch.path ",
     "state directory"},
    {"WatchKind", "[[watch]]\npath = \"/a\"\nkind = \"runs\"", "config.toml:3: watch.kind ", "\"run-logs\""},
    {"WatchProject", "[[watch]]\npath = \"/a\"\nproject = \"classification\"", "config.toml:3: watch.project ",
     "workspace/project"},
    {"WatchCleanup", "[[watch]]\npath = \"/a\"\ncleanup_after = \"soon\"", "config.toml:3: watch.cleanup_after ",
     "\"24h\""},
    {"WatchCleanupFalse", "[[watch]]\npath = \"/a\"\ncleanup_after = false", "config.toml:3: watch.cleanup_after ",
     "text in quotes"},
    {"ProbeTooOften", "[read_only]\nprobe_interval = \"0s\"", "config.toml:2: read_only.probe_interval ", "\"1s\""},
    {"ProbeMaximumBelow", "[read_only]\nprobe_interval = \"5m\"\nprobe_interval_max = \"1m\"",
     "config.toml:3: read_only.probe_interval_max ", "the same or more"},
    {"RampTooLong", "[read_only]\nrelease_ramp = \"2d\"", "config.toml:2: read_only.release_ramp ", "\"1d\""},
    {"QueueOfNothing", "[queue]\nmax_bytes = \"1kB\"", "config.toml:2: queue.max_bytes ", "at least"},
    {"QueueNegative", "[queue]\nmin_free_disk = -1", "config.toml:2: queue.min_free_disk ", "\"20GiB\""},
    {"QueueIsAList", "[[queue]]\nmax_bytes = \"1GiB\"", "config.toml:1: queue ", "[queue]"},
};

INSTANTIATE_TEST_SUITE_P(Configuration, Mistakes, ::testing::ValuesIn(kMistakes),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_F(Configuration, AFileOfCaCertificatesMustHoldSome) {
  const std::string half(certificate, sizeof certificate / 2);
  for (const auto& [text, what] : std::map<std::string, std::string>{{"", "holds no certificates in PEM form"},
                                                                     {"garbage\n", "holds no certificates"},
                                                                     {half, "holds no certificates"},
                                                                     {certificate + half, "or broken ones"}}) {
    const auto file = write("ca.pem", text).native();
    EXPECT_THAT(refusal("[server]\nca_file = \"" + file + "\""),
                testing::AllOf(StartsWith("config.toml:2: server.ca_file names " + file), HasSubstr(what)));
  }
  EXPECT_THAT(refusal("[server]\nca_file = \"" + directory_.native() + "\""), HasSubstr("is a directory; write"));
  EXPECT_THAT(refusal("[server]\nca_file = \"/dev/null\""), HasSubstr("is not a regular file; write"));
  const auto several = write("ca.pem", std::string("# ours\n") + certificate + "\n" + certificate).native();
  EXPECT_TRUE(load_text("[server]\nca_file = \"" + several + "\""));
}

TEST_F(Configuration, ALongProbeIntervalRaisesTheMaximumThatIsNotGiven) {
  const auto config = load_text("[read_only]\nprobe_interval = \"1h\"");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->read_only.probe_interval_max, 1h);
}

TEST_F(Configuration, UnknownKeysAreWarningsThatNameTheLikelyOne) {
  const auto config = load_text(R"(
log_levle = "info"
probe_interval = "30s"
[server]
api_token = "eyJhcGki"
colour = "blue"
[[watch]]
path = "/a"
cleanup = "1h"
[quue]
max_bytes = "1GiB"
)");
  ASSERT_TRUE(config) << config.error().message;
  const auto at = [&](int line, const std::string& rest) {
    return directory_.native() + "/config.toml:" + std::to_string(line) + ": " + rest;
  };
  const std::string ignored = " is not a known key and is ignored";
  EXPECT_THAT(config->warnings, ::testing::UnorderedElementsAre(
                                    at(2, "log_levle" + ignored + "; did you mean log_level?"),
                                    at(3, "probe_interval" + ignored + "; did you mean read_only.probe_interval?"),
                                    at(5, "server.api_token" + ignored + "; did you mean server.api_token_file?"),
                                    at(6, "server.colour" + ignored),
                                    at(9, "watch.cleanup" + ignored + "; did you mean watch.cleanup_after?"),
                                    at(10, "quue" + ignored + "; did you mean queue?")));
}

TEST_F(Configuration, ASecretInTheWrongPlaceIsNotRepeated) {
  for (const auto* text : {"[server]\napi_token_file = \"eyJhcGki\"", "[server]\nproxy = \"https://u:eyJhcGki@p\"",
                           "api_token_file = eyJhcGki", "a = 'b' eyJhcGki"}) {
    EXPECT_THAT(refusal(text), Not(HasSubstr("JhcGki"))) << text;
  }
}

TEST_F(Configuration, SkippingVerificationIsAWarning) {
  const auto config = load_text("[server]\ninsecure = true");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_THAT(config->warnings[0], HasSubstr("insecure"));
}

}  // namespace
}  // namespace neptune::config
