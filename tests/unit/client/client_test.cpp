#include "client/lib/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/unit/local_api/served.h"

namespace neptune::client {
namespace {

using namespace std::chrono_literals;
using test::FixedControl;
using test::Folder;
using test::Served;
using testing::HasSubstr;

Client client_of(const std::string& socket) {
  return Client({socket, 5s});
}

Deadline soon() {
  return std::chrono::steady_clock::now() + 5s;
}

/// A listening socket whose other end is the test's.
class BareListener {
 public:
  explicit BareListener(const std::string& path, int backlog = 8)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd_, backlog) != 0)
      throw std::runtime_error("cannot listen");
  }
  ~BareListener() { ::close(fd_); }

  /// Answers the next connection with these bytes and closes it.
  std::thread answer(std::string bytes) {
    return std::thread([fd = fd_, bytes = std::move(bytes)] {
      const int peer = ::accept(fd, nullptr, nullptr);
      char request[4096];
      if (::recv(peer, request, sizeof request, 0) > 0) ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ::close(peer);
    });
  }

  /// The same to whoever still waits after this time.
  std::thread answer_unless_left(std::string bytes, std::chrono::milliseconds after) {
    return std::thread([fd = fd_, bytes = std::move(bytes), after] {
      const int peer = ::accept(fd, nullptr, nullptr);
      char request[4096];
      pollfd left{.fd = peer, .events = POLLRDHUP, .revents = 0};
      if (::recv(peer, request, sizeof request, 0) > 0 && ::poll(&left, 1, static_cast<int>(after.count())) == 0)
        ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ::close(peer);
    });
  }

 private:
  int fd_;
};

TEST(Client, AsksEveryRoute) {
  Served served;
  served.on_loop([](FixedControl& control) {
    control.status_now.pid = 42;
    control.streams_now.emplace_back().container = "r1";
    control.streams_now[0].project = "a/b";
    control.rejected_now.emplace_back().id = 7;
    control.payload = std::string("\0\1\2", 3);
  });
  const auto client = client_of(served.path());
  EXPECT_EQ(client.status()->value.pid, 42);
  EXPECT_TRUE(client.workspaces());
  EXPECT_EQ(client.streams({{}, "r1"})->value.streams.size(), 1u);
  EXPECT_EQ(client.streams({"a/b", "r1"})->value.streams.size(), 1u);
  EXPECT_EQ(client.streams({"a/c", {}})->value.streams.size(), 0u);
  EXPECT_EQ(client.rejected(0, 10)->value.rejected.size(), 1u);
  EXPECT_EQ(client.rejected_one(7)->value.id, 7);
  EXPECT_EQ(client.rejected_payload(7).value(), std::string("\0\1\2", 3));
  EXPECT_EQ(client.retry(7)->value.id, 7);
  EXPECT_EQ(client.discard(7)->value.id, 7);
  EXPECT_TRUE(client.flush());
  EXPECT_EQ(client.hold("ml-team/x y")->value.name, "ml-team/x y");
  EXPECT_EQ(client.release("ml-team/x")->value.mode, "normal");
  EXPECT_EQ(client.probe("ml-team")->value.mode, "read_only");
  EXPECT_EQ(client.plan_release("ml-team")->value.changes, 12u);
}

TEST(Client, NamesThePlaceOfOnesOwnDaemonTooWhereThereIsNone) {
  const std::string system = "/run/neptune-syncd/api.sock";
  if (::geteuid() != 0 || std::filesystem::exists(system)) GTEST_SKIP() << "needs root, and no daemon of the system's";
  Folder folder;
  ::setenv("XDG_RUNTIME_DIR", (folder / "run").c_str(), 1);
  std::filesystem::create_directory(folder / "run");
  std::string message;
  std::thread([&] {
    // Of this thread alone.
    if (::syscall(SYS_setresuid, 65534, 65534, 65534) == 0) message = client_of(system).status().error().message;
  }).join();
  ::unsetenv("XDG_RUNTIME_DIR");
  if (message.find("no API token") != std::string::npos) GTEST_SKIP() << "the package is installed here";
  EXPECT_THAT(message, HasSubstr("There is no neptune-syncd at " + system + ", nor one of your own at " +
                                 (folder / "run/neptune-syncd/api.sock").string() + ". Start it"));
}

TEST(Client, HandsInChanges) {
  Served served;
  const std::string one = R"({"kind": "trash.empty", "project": "a/b"})";
  const auto client = client_of(served.path());
  EXPECT_EQ(client.submit(one)->value.ids, std::vector<std::int64_t>{1});
  EXPECT_EQ(client.submit(one + "\n" + one, {.content_type = "application/x-ndjson"})->value.accepted, 2u);
  const auto refused = client.submit(R"({"kind": "trash.full"})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "unknown_kind");
}

TEST(Client, ReadsTheAnswerOfADaemonThatTurnsALargeBodyAway) {
  Served served;
  const auto refused = client_of(served.path()).submit(std::string(20 << 20, ' '));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "body_too_large");
}

TEST(Client, SaysThatChangesMayHaveBeenTakenWhenTheAnswerIsLost) {
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  auto answering = listener.answer("HTTP/1.1 202 Acc");
  const auto reply = client_of((folder / "api.sock").string()).submit("{}");
  answering.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "daemon_lost");
  EXPECT_THAT(reply.error().message, HasSubstr("idempotency key"));
}

TEST(Client, AsksAgainForWhatOthersAskedForWithinTheLastSecond) {
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  const auto client = client_of((folder / "api.sock").string());
  const std::string body = R"({"error":{"code":"too_often","message":"Ask again in a second."}})";
  auto answering = listener.answer(
      "HTTP/1.1 429 Too Many Requests\r\nServer: neptune-syncd/1\r\nRetry-After: 1\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  std::thread later([&] {
    answering.join();
    listener.answer("HTTP/1.1 200 OK\r\nServer: neptune-syncd/1\r\nContent-Length: 2\r\n\r\n{}").join();
  });
  const auto reply = client.flush();
  later.join();
  EXPECT_TRUE(reply) << reply.error().message;
}

TEST(Client, HandsInAgainWhatTheDaemonHasNoRoomForYet) {
  local_api::Options options;
  options.max_bodies_bytes = 4 << 20;
  Served served(options);
  const auto body = R"({"kind": "trash.empty", "project": "a/b"})" + std::string(1'500'000, ' ');
  std::atomic<int> taken = 0;
  std::vector<std::thread> jobs;
  for (int i = 0; i < 6; ++i)
    jobs.emplace_back([&] { taken += client_of(served.path()).submit(body).has_value() ? 1 : 0; });
  for (auto& job : jobs) job.join();
  EXPECT_EQ(taken, 6);
}

TEST(Client, HandsInAgainForSoLongAndThenSaysWhatTheDaemonSaid) {
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  const Client client({.socket = (folder / "api.sock").string(), .busy_patience = 10s});
  const std::string body = R"({"error":{"code":"too_many_bodies","message":"Try again."}})";
  auto answering = listener.answer(
      "HTTP/1.1 503 Service Unavailable\r\nServer: neptune-syncd/1\r\nRetry-After: 60\r\n"
      "Content-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  const auto reply = client.submit("{}");
  answering.join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().message, "Try again.");
}

TEST(Client, GivesADaemonThatCopiesAFileTheTimeForThat) {
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  const Client client({(folder / "api.sock").string(), 50ms});
  const std::string answer =
      "HTTP/1.1 202 Accepted\r\nServer: neptune-syncd/1\r\nContent-Length: 24\r\n\r\n{\"accepted\":1,\"ids\":[1]}";
  auto answering = listener.answer_unless_left(answer, 300ms);
  EXPECT_EQ(client.submit("{}", {.copies = (1 << 20) - 1}).error().code, "daemon_timed_out");
  answering.join();
  answering = listener.answer_unless_left(answer, 300ms);
  const auto reply = client.submit("{}", {.copies = 10 << 20});
  answering.join();
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->value.ids, std::vector<std::int64_t>{1});
}

TEST(Client, GivesTheJsonAsItCame) {
  Served served;
  const auto reply = client_of(served.path()).status();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->json, test::body_of(test::ask(served.path(), "GET", "/v1/status")));
}

TEST(Client, AnErrorOfTheDaemonKeepsItsCodeAndSentence) {
  Served served;
  const auto reply = client_of(served.path()).hold("a/b/c");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "invalid_project_name");
  EXPECT_FALSE(is_unreachable(reply.error()));
}

TEST(Client, TakesAnswersOfManyMegabytes) {
  Served served;
  served.on_loop([](FixedControl& control) { control.payload.assign(16 << 20, 'x'); });
  EXPECT_EQ(client_of(served.path()).rejected_payload(1)->size(), 16u << 20);
}

TEST(Client, SaysThatNoDaemonIsThere) {
  Folder folder;
  const auto missing = client_of((folder / "api.sock").string()).status();
  ASSERT_FALSE(missing);
  EXPECT_TRUE(is_unreachable(missing.error()));
  EXPECT_THAT(missing.error().message, HasSubstr("Start it"));

  {
    BareListener dead((folder / "dead.sock").string());
  }
  const auto refused = client_of((folder / "dead.sock").string()).status();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "daemon_not_running");
  EXPECT_THAT(refused.error().message, HasSubstr("is not running"));
}

TEST(Client, SaysThatThePathIsNoSocket) {
  Folder folder;
  std::ofstream(folder / "file") << "x";
  for (const auto& path : {(folder / "file").string(), std::string(200, 'x'), std::string()}) {
    const auto reply = client_of(path).status();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, "daemon_wrong_path") << path << ": " << reply.error().message;
  }
}

TEST(Client, SaysOfASocketThatIsAnotherUsersWhichToUse) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  ::chmod((folder / "api.sock").c_str(), 0600);
  Result<Reply<api::Status>> reply;
  std::thread([&] {
    if (::syscall(SYS_setresuid, -1, 65534, -1) == 0) reply = client_of((folder / "api.sock").string()).status();
  }).join();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "daemon_not_permitted");
  EXPECT_THAT(reply.error().message, HasSubstr("(/run/neptune-syncd/api.sock) or your own"));
  EXPECT_THAT(reply.error().message, testing::Not(HasSubstr("group"))) << "which opens none";
}

TEST(Client, GivesUpOnADaemonThatDoesNotAnswer) {
  Folder folder;
  BareListener silent((folder / "api.sock").string());
  const auto reply = Client({(folder / "api.sock").string(), 100ms}).status();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "daemon_timed_out");
}

TEST(Client, GivesUpOnADaemonThatTakesNoMoreConnections) {
  Folder folder;
  const auto path = (folder / "api.sock").string();
  BareListener full(path, 0);
  std::vector<test::RawSocket> waiting;
  waiting.emplace_back(path);
  const auto reply = Client({path, 100ms}).status();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "daemon_timed_out");
}

TEST(Client, TellsAStrangerFromTheDaemon) {
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  const auto client = client_of((folder / "api.sock").string());
  for (const char* bytes : {"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\n{}", "hello\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nServer: neptune-syncd/1\r\nContent-Length: 5\r\n\r\nhello",
                            "HTTP/1.1 500 No\r\nServer: neptune-syncd/1\r\nContent-Length: 5\r\n\r\nhello"}) {
    auto answering = listener.answer(bytes);
    const auto reply = client.status();
    answering.join();
    ASSERT_FALSE(reply) << bytes;
    EXPECT_EQ(reply.error().code, "bad_answer") << bytes;
  }
}

TEST(Client, AnAnswerThatIsCutOffIsNoAnswer) {
  Folder folder;
  BareListener listener((folder / "api.sock").string());
  const auto client = client_of((folder / "api.sock").string());
  for (const char* bytes : {"", "HTTP/1.1 200 OK\r\nServer: nep",
                            "HTTP/1.1 200 OK\r\nServer: neptune-syncd/1\r\nContent-Length: 50\r\n\r\n{}"}) {
    auto answering = listener.answer(bytes);
    const auto reply = client.status();
    answering.join();
    ASSERT_FALSE(reply) << bytes;
    EXPECT_EQ(reply.error().code, "daemon_lost") << bytes;
  }
}

TEST(Client, HearsWhyItWasTurnedAway) {
  local_api::Options options;
  options.max_connections = 1;
  Served served(options);
  test::RawSocket only(served.path());
  ASSERT_TRUE(served.reaches_connections(1));
  const auto reply = client_of(served.path()).status();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, "too_many_connections");
  EXPECT_TRUE(reply.error().retryable);
}

TEST(Client, EncodesWhatAPathCannotHold) {
  EXPECT_EQ(percent_encode("ml-team/x y&z=\xc3\xa9"), "ml-team%2Fx%20y%26z%3D%C3%A9");
}

TEST(ClientEvents, GivesTheKeptOnesAndThenTheEnd) {
  Served served;
  served.on_loop([](FixedControl& control) {
    control.happen({.type = "one"});
    control.happen({.type = "two"});
  });
  auto stream = client_of(served.path()).events(std::nullopt, false);
  ASSERT_TRUE(stream) << stream.error().message;
  std::vector<std::string> types;
  for (;;) {
    const auto events = stream->next(soon());
    if (!events) {
      EXPECT_EQ(events.error().code, "stream_ended");
      break;
    }
    for (const auto& event : *events) types.push_back(event.value.type);
  }
  EXPECT_EQ(types, (std::vector<std::string>{"one", "two"}));
}

TEST(ClientEvents, HasAllThatHappensOnceItHasBegun) {
  Served served;
  auto stream = client_of(served.path()).events(std::nullopt, true);
  ASSERT_TRUE(stream);
  served.on_loop([](FixedControl& control) { control.happen({.type = "one"}); });
  const auto events = stream->next(soon());
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ(events->front().value.type, "one");
}

TEST(ClientEvents, ADeadlineIsNoErrorAndTheStreamGoesOn) {
  Served served;
  auto stream = client_of(served.path()).events(std::nullopt, true);
  ASSERT_TRUE(stream);
  const auto none = stream->next(std::chrono::steady_clock::now() + 20ms);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
  served.on_loop([](FixedControl& control) { control.happen({.type = "one"}); });
  EXPECT_EQ(stream->next(soon())->size(), 1u);
}

TEST(ClientEvents, EndsWithTheDaemon) {
  Served served;
  auto stream = client_of(served.path()).events(std::nullopt, true);
  ASSERT_TRUE(stream);
  served.stop();
  const auto events = stream->next(soon());
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().code, "stream_ended");
}

TEST(ClientEvents, AWrongIdIsAnError) {
  Folder folder;
  Served served;
  const auto missing = client_of((folder / "none").string()).events(1, true);
  ASSERT_FALSE(missing);
  EXPECT_TRUE(is_unreachable(missing.error()));
}

}  // namespace
}  // namespace neptune::client
