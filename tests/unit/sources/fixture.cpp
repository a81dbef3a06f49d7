#include "tests/unit/sources/fixture.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <fstream>
#include <iterator>

extern char** environ;

namespace neptune::sources {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

TempDir::TempDir() {
  std::string name = (fs::temp_directory_path() / "run-logs-XXXXXX").string();
  path_ = mkdtemp(name.data());
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Writer::Writer() {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::string program = LOG_WRITER;
  char* const arguments[] = {program.data(), nullptr};
  if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ) != 0) std::abort();
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  out_ = out[0];
}

Writer::~Writer() {
  if (in_ >= 0) ::close(in_);
  if (out_ >= 0) ::close(out_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

void Writer::send(const std::string& command) {
  const auto line = command + "\n";
  if (::write(in_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    ADD_FAILURE() << "the writer is gone";
}

std::string Writer::receive() {
  std::string line;
  for (char c = 0; ::read(out_, &c, 1) == 1 && c != '\n';) line += c;
  EXPECT_TRUE(line.starts_with("ok ")) << line;
  return line.starts_with("ok ") ? line.substr(3) : line;
}

std::string Writer::operator()(const std::string& command) {
  send(command);
  return receive();
}

void Writer::kill() {
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Listener::source_changed(const SourceInfo& info, std::shared_ptr<Source> source) {
  auto& seen = logs[info.key.path];
  seen.info = info;
  seen.source = std::move(source);
  states.push_back(info.state);
}

void Listener::source_written(const SourceKey& key) {
  ++logs.at(key.path).written;
}

void Listener::source_vanished(const SourceKey& key) {
  vanished.push_back(key);
  logs.erase(key.path);
}

const Listener::Seen* Listener::at(const fs::path& directory) const {
  const auto found = logs.find(directory.string());
  return found == logs.end() ? nullptr : &found->second;
}

bool Listener::is(const fs::path& directory, SourceState state) const {
  const auto* seen = at(directory);
  return seen && seen->info.state == state;
}

Loop::~Loop() {
  context.stop();
}

bool Loop::until(const std::function<bool()>& condition, std::chrono::milliseconds bound) {
  const auto end = std::chrono::steady_clock::now() + bound;
  context.restart();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    context.run_one_for(20ms);
    if (context.stopped()) context.restart();
  }
  return true;
}

void Loop::run_for(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  until([&] { return std::chrono::steady_clock::now() >= end; }, time + 1s);
}

void Loop::await(boost::asio::awaitable<void> task) {
  bool done = false;
  std::exception_ptr error;
  boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr e) {
    error = e;
    done = true;
  });
  until([&] { return done; }, 60s);
  if (error) std::rethrow_exception(error);
}

class RunLogsFixture::Running {
 public:
  boost::asio::cancellation_signal cancel;
  bool ended = false;
};

RunLogsFixture::RunLogsFixture(std::function<void(RunLogsOptions&)> adjust) {
  fs::create_directories(folder);
  WatchFolder watch;
  watch.path = folder;
  options.folders = {watch};
  options.live_after = 200ms;
  options.closed_after = 100ms;
  if (adjust) adjust(options);
}

RunLogsFixture::~RunLogsFixture() {
  stop();
}

void RunLogsFixture::start() {
  logs = std::make_unique<RunLogs>(loop.context.get_executor(), loop.pool, loop.clock, options, listener);
  running_ = std::make_unique<Running>();
  boost::asio::co_spawn(loop.context, logs->run(),
                        boost::asio::bind_cancellation_slot(running_->cancel.slot(),
                                                            [this](std::exception_ptr) { running_->ended = true; }));
}

void RunLogsFixture::stop() {
  if (!running_) return;
  running_->cancel.emit(boost::asio::cancellation_type::terminal);
  EXPECT_TRUE(loop.until([this] { return running_->ended; }));
  running_.reset();
  listener.logs.clear();
  logs.reset();
}

bool RunLogsFixture::reaches(const fs::path& directory, SourceState state) {
  return loop.until([&] { return listener.is(directory, state); });
}

std::shared_ptr<Source> RunLogsFixture::source(const fs::path& directory) {
  const auto* seen = listener.at(directory);
  return seen ? seen->source : nullptr;
}

std::string bytes_of(Loop& loop, Source& source, const Batch& batch) {
  auto stream = source.open(batch);
  std::string out;
  for (;;) {
    auto piece = loop.await(stream->next());
    if (!piece) {
      ADD_FAILURE() << piece.error().message;
      return out;
    }
    if (piece->empty()) return out;
    EXPECT_LE(piece->size(), 2u * 64 * 1024 + 16);
    out += *piece;
  }
}

fs::path copy_sample(const std::string& name, const fs::path& to) {
  fs::create_directories(to);
  fs::copy(fs::path(SAMPLES) / name, to, fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(to))
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  return to;
}

std::map<std::string, std::string> content_of(const fs::path& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    out[entry.path().filename().string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return out;
}

fs::path database_of(const fs::path& log) {
  return log / "run_operations.sqlite3";
}

}  // namespace neptune::sources
