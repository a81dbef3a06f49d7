#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "tests/unit/layering/source_tree.h"

/// Mistakes that compile without a warning. One table: what is looked for, where, why, and which files may.
namespace neptune::layering {
namespace {

using ::testing::IsEmpty;

struct Exception {
  std::string path;  ///< a file, or a folder that ends in '/'
  std::string reason;
};

struct Rule {
  std::string name;
  std::string reason;
  std::vector<std::string> folders;  ///< where it holds
  std::string pattern;               ///< found in code, without comments and literals
  std::string only_with{};           ///< when given: only in files whose code has this too
  bool in_all_text = false;          ///< also in comments, literals and files that are not C++
  std::vector<Exception> exceptions{};
  std::vector<std::string> caught{};    ///< code that the rule must find
  std::vector<std::string> let_pass{};  ///< code that looks like it and is right
};

void PrintTo(const Rule& rule, std::ostream* out) {
  *out << rule.name;
}

const std::string kOpenWork = std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X)\\b";

// The lines of the table are long on purpose: each is one example.
// clang-format off
const std::vector<Rule> kRules{
    {.name = "SwallowedException",
     .reason = "an error that nobody hears of: handle it, or turn it into an Error",
     .folders = {"daemon", "client", "tests"},
     .pattern = R"(catch\s*\(\s*\.\.\.\s*\)\s*\{\s*\})",
     .caught = {"try { f(); } catch (...) {}", "try { f(); } catch (...) {\n  // never mind\n}"},
     .let_pass = {"try { f(); } catch (...) { error = std::current_exception(); }"}},
    {.name = "CaptureOfEverythingBesideCoroutines",
     .reason = "a lambda that outlives a suspension refers to a frame that is gone; name what is captured",
     .folders = {"daemon", "client"},
     .pattern = R"(\[\s*[&=]\s*[\],])",
     .only_with = R"(\bco_(await|spawn|return)\b)",
     .exceptions = {{"daemon/support/worker_pool.h", "the caller's frame waits for the work, whatever happens: that is what the class is for"}},
     .caught = {"auto f = [&] { return x; }; co_await g();", "co_spawn(e, [=, this] { return run(); }, h);"},
     .let_pass = {"auto f = [&x] { return x; }; co_await g();", "auto f = [&] { return x; };", "a[i] = b; co_await g();"}},
    {.name = "CapturingCoroutineLambda",
     .reason = "the captures die with the lambda object, often before the coroutine's first resumption; write a function",
     .folders = {"daemon", "client", "tests"},
     .pattern = R"(\[[^\[\]]+\]\s*\([^()]*\)\s*(mutable\s*)?(->\s*[\w:]*awaitable<[^{};]*>\s*)\{[^{}]*\bco_(await|return|yield)\b)",
     .caught = {"[this](int x) -> asio::awaitable<void> { co_await y(); }", "[&x]() mutable -> boost::asio::awaitable<Result<int>> { if (x) z();\n co_return 1; }"},
     .let_pass = {"[]() -> asio::awaitable<void> { co_await y(); }", "[this]() -> asio::awaitable<void> { return run(); }"}},
    {.name = "CapturingLambdaInsideAwait",
     .reason = "GCC 12 destroys such a temporary twice; name the lambda in a local first",
     .folders = {"daemon", "client", "tests"},
     .pattern = R"(\bco_await\b[^;{}]*[(,]\s*\[[^\[\]]+\]\s*[({m])",
     .exceptions = {{"daemon/support/worker_pool.h", "captures of plain references and pointers only: nothing to destroy"}},
     .caught = {"co_await pool.run([this] { return f(); });", "auto r = co_await g(1,\n  [x = std::move(x)]() mutable { h(x); });"},
     .let_pass = {"auto f = [this] { return 1; };\nco_await pool.run(std::move(f));", "co_await g(a[i], b);", "co_await pool.run([] { return 1; });"}},
    {.name = "AwaitInsideConditional",
     .reason = "GCC 12 miscompiles an await inside ?:; write an if",
     .folders = {"daemon", "client", "tests"},
     .pattern = R"(\?[^;{}]*\bco_await\b)",
     .caught = {"auto x = y ? co_await f() : 0;", "return y ? 1\n : co_await f();"},
     .let_pass = {"auto x = y ? 1 : 0;\nco_await f();", "f(\"why?\"); co_await f();"}},
    {.name = "Mutex",
     .reason = "one thread owns all state; what blocks goes to the WorkerPool",
     .folders = {"daemon"},
     .pattern = R"(\bstd::(\w*mutex|condition_variable\w*|lock_guard|unique_lock|scoped_lock)\b)",
     .exceptions = {{"daemon/sources/run_log/", "databases are used on the threads of the pool; held only there, never over a suspension"},
                    {"daemon/sources/client_dir/", "logs are read on the threads of the pool, likewise"}},
     .caught = {"std::mutex m;", "std::shared_mutex m;", "std::condition_variable c;"},
     .let_pass = {"// std::mutex is not needed", "mutex_free();"}},
    {.name = "Sleep",
     .reason = "in the daemon it stops the loop, in a test it is slow or fails now and then; wait for the event itself, or move a clock of your own",
     .folders = {"daemon", "tests"},
     .pattern = R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\()",
     .exceptions = {{"daemon/sources/run_log/log_survey.cpp", "a command without a loop: it looks again at what may have been closed just now"},
                    {"tests/unit/sources/log_writer.cpp", "a process of its own, which paces its writes as a job does"},
                    {"tests/unit/client/terminal_test.cpp", "a real terminal: what it shows is only seen when asked again, within a deadline"},
                    {"tests/integration/", "real processes: what they do shows only when asked again, within a deadline"},
                    {"tests/fault/", "real processes: what they do shows only when asked again, within a deadline"},
                    {"tests/campaign/", "real processes: what they do shows only when asked again, within a deadline"}},
     .caught = {"std::this_thread::sleep_for(1ms);", "usleep(10);", "::sleep (1);"},
     .let_pass = {"void wake_from_sleep();", "asleep(1);"}},
    {.name = "Singleton",
     .reason = "the composition root builds every object once and hands it on; hidden ones cannot be replaced in a test",
     .folders = {"daemon", "client"},
     .pattern = R"(\bstatic\s+[\w:<>]+\s*[&*]\s*(instance|get_instance|getInstance)\s*\()",
     .caught = {"static Store& instance();", "static a::B<int>* get_instance ();"},
     .let_pass = {"Store& instance_of(int id);", "static Result<Store> make();"}},
    {.name = "OrphanCoroutine",
     .reason = "nobody waits for it and its exception ends the process: spawn it in a TaskGroup",
     .folders = {"daemon"},
     .pattern = R"(\bdetached\b)",
     .caught = {"co_spawn(e, f(), asio::detached);"},
     .let_pass = {"group.spawn(name, f()); // not detached"}},
    {.name = "PrintedOutput",
     .reason = "the daemon speaks through its log and its API",
     .folders = {"daemon"},
     .pattern = R"(\bstd::cout\b|\b(printf|puts)\s*\()",
     .exceptions = {{"daemon/main.cpp", "--help and --version are answered before there is a log"}},
     .caught = {"std::cout << x;", "printf(\"%d\", x);"},
     .let_pass = {"snprintf(buffer, n, format);"}},
    {.name = "CoreTouchesTheWorld",
     .reason = "the core decides and does nothing else: events in, actions out, so that a seed replays a history",
     .folders = {"daemon/core"},
     .pattern = R"(\bboost::asio\b|\b(asio::|std::filesystem|std::[io]?fstream|sqlite3)|_clock::now\s*\(|\bstd::random_device\b|\bspdlog::)",
     .caught = {"boost::asio::steady_timer t(e);", "auto t = std::chrono::steady_clock::now();", "std::ofstream out(path);", "std::random_device d;"},
     .let_pass = {"Instant now;", "std::chrono::steady_clock::time_point t;"}},
    {.name = "UnescapedLogValue",
     .reason = "what it holds can end the quotes and forge a value or a line; write {:?}",
     .folders = {"daemon"},
     .pattern = R"(\bspdlog::\w+\([^;]*\\"\{\}\\")",
     .in_all_text = true,
     .caught = {R"(spdlog::info("held scope=\"{}\"", scope);)"},
     .let_pass = {R"(spdlog::info("held scope={:?}", scope);)", R"(fmt::format("\"{}\"", name);)"}},
    {.name = "OpenWork",
     .reason = "it is finished, or the documentation says that it is missing",
     .folders = {"daemon", "client", "tests", "cmake", "script", "systemd", "docs"},
     .pattern = kOpenWork,
     .in_all_text = true,
     .exceptions = {{"script/demo", "mktemp's template of a name"}},
     .caught = {std::string("// TO") + "DO: later", std::string("# FIX") + "ME"},
     .let_pass = {"a to-do list", "mastodon"}},
};
// clang-format on

/// Offsets of what the rule forbids in a text.
std::vector<std::size_t> find(const Rule& rule, const std::string& text) {
  const auto searched = rule.in_all_text ? text : code_of(text);
  std::vector<std::size_t> found;
  if (!rule.only_with.empty() && !std::regex_search(searched, std::regex(rule.only_with))) return found;
  const std::regex pattern(rule.pattern);
  for (std::sregex_iterator it(searched.begin(), searched.end(), pattern), end; it != end; ++it)
    found.push_back(static_cast<std::size_t>(it->position()));
  return found;
}

bool is_excepted(const Rule& rule, const std::string& path) {
  return std::ranges::any_of(rule.exceptions, [&path](const Exception& exception) {
    return path == exception.path || (exception.path.ends_with('/') && path.starts_with(exception.path));
  });
}

class Mistakes : public ::testing::TestWithParam<Rule> {};

TEST_P(Mistakes, AreNotInTheTree) {
  const auto& rule = GetParam();
  const std::vector<std::string> code{".h", ".cpp"};
  const std::vector<std::string> all{""};
  std::vector<std::string> found;
  for (const auto& file : files_below(rule.folders, rule.in_all_text ? all : code)) {
    if (is_excepted(rule, file.path)) continue;
    for (const auto offset : find(rule, file.text))
      found.push_back(file.path + ":" + std::to_string(file.line_at(offset)));
  }
  EXPECT_THAT(found, IsEmpty()) << rule.name << ": " << rule.reason;
}

TEST_P(Mistakes, AreFoundInExamplesOfThem) {
  for (const auto& text : GetParam().caught) EXPECT_FALSE(find(GetParam(), text).empty()) << text;
  EXPECT_FALSE(GetParam().caught.empty());
}

TEST_P(Mistakes, AreNotSeenInCodeThatIsRight) {
  for (const auto& text : GetParam().let_pass) EXPECT_TRUE(find(GetParam(), text).empty()) << text;
  EXPECT_FALSE(GetParam().let_pass.empty());
}

INSTANTIATE_TEST_SUITE_P(Lint, Mistakes, ::testing::ValuesIn(kRules), [](const auto& each) { return each.param.name; });

TEST(CodeOf, BlanksCommentsAndLiteralsAndKeepsEveryPlace) {
  EXPECT_EQ(code_of("a; // b\nc;"), "a;     \nc;");
  EXPECT_EQ(code_of("a/* \n */b"), "a   \n   b");
  EXPECT_EQ(code_of("f(\"a\\\"//\", 'x');"), "f(       ,    );");
  EXPECT_EQ(code_of("x = R\"y(a\"b)y\"; z"), "x =           ; z");
  EXPECT_EQ(code_of("n = 60'000; m"), "n = 60'000; m");
  EXPECT_EQ(code_of("\"never ended"), "            ");
}

}  // namespace
}  // namespace neptune::layering
