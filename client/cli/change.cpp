#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "client/cli/hand_in.h"

namespace neptune::cli {

namespace {

constexpr std::size_t most_bytes = 64 << 20;  // more than any daemon takes: it says how much that is

struct Arguments {
  std::string file, project;
  HandIn how;
};

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Result<std::string> read_all(const std::string& name) {
  const bool standard_input = name == "-";
  File file(standard_input ? stdin : std::fopen(name.c_str(), "rbe"),
            standard_input ? [](std::FILE*) { return 0; } : std::fclose);
  const auto failed = [&name] {
    return fail("file_unreadable", "'" + name + "' cannot be read: " + std::strerror(errno) + ".");
  };
  if (!file) return failed();
  std::string text;
  std::size_t n = 0;
  do {
    const auto before = text.size();
    text.resize(before + (64 << 10));
    n = std::fread(text.data() + before, 1, text.size() - before, file.get());
    text.resize(before + n);
  } while (n > 0 && text.size() <= most_bytes);
  if (std::ferror(file.get())) return failed();
  return text;
}

}  // namespace

void add_change(Verb& top, Session& session) {
  auto verb = top.add("change", "Hand in changes as JSON: one object, an array, or one object a line");
  const auto arguments = std::make_shared<Arguments>();
  verb.required("-f,--file FILE", arguments->file, "The file they are in; - is standard input");
  verb.from_environment("--project PROJECT", arguments->project, "NEPTUNE_PROJECT",
                        "The project of changes that name none, as workspace/project");
  arguments->how.add_wait_to(verb);
  verb.action([&session, arguments] {
    const auto body = read_all(arguments->file);
    if (!body) return session.fail_with(body.error());
    hand_in_body(session, arguments->how, *body, arguments->project);
  });
}

}  // namespace neptune::cli
