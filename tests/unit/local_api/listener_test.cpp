#include "local_api/impl/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <fstream>

#include "tests/unit/local_api/served.h"

namespace neptune::local_api {
namespace {

class ListenerTest : public testing::Test {
 protected:
  boost::asio::io_context loop_;
  test::Folder folder_;
  std::filesystem::path path_ = folder_ / "api.sock";

  Result<Listener> bind() { return Listener::bind(loop_.get_executor(), path_, 0666); }
};

using Listening = ListenerTest;

TEST_F(Listening, LetsEveryLocalUserConnect) {
  const auto listener = bind();
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0666u);
}

TEST_F(Listening, RefusesWhenALivingDaemonAnswers) {
  const auto living = bind();
  ASSERT_TRUE(living);
  const auto second = bind();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "socket_in_use");
  EXPECT_NE(second.error().message.find(path_.string()), std::string::npos);
  EXPECT_TRUE(test::RawSocket(path_).connected()) << "the living one was harmed";
}

TEST_F(Listening, ReplacesTheSocketOfADeadDaemon) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  const auto listener = bind();
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(test::RawSocket(path_).connected());
}

TEST_F(Listening, LeavesAFileThatIsNoSocketAlone) {
  std::ofstream(path_) << "notes";
  const auto listener = bind();
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, "socket_path_taken");
  EXPECT_TRUE(std::filesystem::is_regular_file(path_));
}

TEST_F(Listening, MakesTheLastFolderOfThePathButNoMore) {
  path_ = folder_ / "neptune-syncd" / "api.sock";
  EXPECT_TRUE(bind());
  path_ = folder_ / "no" / "such" / "api.sock";
  const auto listener = bind();
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, "socket_folder");
}

TEST_F(Listening, RefusesAPathThatDoesNotFit) {
  path_ = folder_ / std::string(120, 'x');
  const auto listener = bind();
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, "socket_path_length");
}

TEST_F(Listening, RemovesItsFileWhenItClosesButNotASuccessors) {
  auto first = bind();
  ASSERT_TRUE(first);
  first->close();
  EXPECT_FALSE(std::filesystem::exists(path_));

  auto old = bind();
  ASSERT_TRUE(old);
  std::filesystem::rename(path_, folder_ / "moved");
  const auto successor = bind();
  ASSERT_TRUE(successor);
  old->close();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(Listening, TakesOverASocketOfTheServiceManagerAndLeavesItsFile) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_FALSE(Listener::adopt(loop_.get_executor(), fd)) << "it does not listen yet";
  ASSERT_EQ(::listen(fd, 8), 0);
  auto listener = Listener::adopt(loop_.get_executor(), fd);
  ASSERT_TRUE(listener) << listener.error().message;
  listener->close();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(Listening, RefusesAnInheritedDescriptorThatIsNoUnixSocket) {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const auto listener = Listener::adopt(loop_.get_executor(), fd);
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, "inherited_socket");
  ::close(fd);
}

}  // namespace
}  // namespace neptune::local_api
