#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <utility>

#include "client/cli/change_file.h"
#include "client/cli/hand_in.h"
#include "client/lib/json.h"

namespace neptune::cli {

namespace {

struct Arguments {
  std::optional<std::string> file;
  std::string project;
  std::optional<std::uint64_t> skip;
  HandIn how;
};

/// The number, from 0, of the change that a field is of, and what is behind it.
std::optional<std::pair<std::size_t, std::string>> index_of(const std::string& field) {
  const auto end = field.data() + std::min(field.find('.'), field.size());
  std::size_t index = 0;
  const auto [last, wrong] = std::from_chars(field.data(), end, index);
  if (wrong != std::errc() || last != end) return std::nullopt;
  return std::pair(index, std::string(end));
}

/// One call of the verb: hands in a file, part by part where it is long.
class FileHandIn {
 public:
  FileHandIn(Session& session, const Arguments& arguments, ChangeFile file)
      : session_(session), project_(arguments.project), handing_(session, arguments.how), file_(std::move(file)) {}

  void run(std::uint64_t skip) {
    if (const auto skipped = file_.skip(skip); !skipped) {
      if (skipped.error().code == "wrong_skip") wrong_usage("--skip", skipped.error().message);
      return session_.fail_with(skipped.error());
    }
    for (;;) {
      const auto part = file_.next();
      if (!part) return session_.fail_with(with_what_is_accepted(part.error()));
      if (!*part) break;
      if (!hand_in(**part)) return;
    }
    if (accepted_.changes == 0) return nothing_is_left(skip);
    if (!session_.json) session_.print(handing_.told(accepted_));
    handing_.wait(accepted_.ids);
  }

 private:
  bool hand_in(ChangeFile::Part part) {
    auto reply = submit(part);
    // What a request may name is counted by the daemon alone.
    if (const auto at = index_of(session_.field_at_fault());
        !reply && reply.error().code == "too_many_runs" && part.lines && at && at->first > 0) {
      part = file_.shorten(at->first);
      reply = submit(part);
    }
    if (!reply) {
      session_.fail_with(part_refused(part, std::move(reply.error())));
      return false;
    }
    Accepted accepted;
    accepted.add(reply->value);
    accepted_.add(reply->value);
    through_ = {part.changes_before + part.changes, part.lines_before + part.line_count};
    if (session_.json) {
      session_.print(reply->json + "\n");
    } else if (part.lines) {
      session_.print("Accepted " + lines_of(part) + numbers_of(accepted) + ".\n");
    }
    std::fflush(stdout);  // so that it is known how far it came, whatever becomes of the rest
    return true;
  }

  Result<client::Reply<api::SubmitReply>> submit(const ChangeFile::Part& part) const {
    return handing_.submit(part.text, {.content_type = part.lines ? "application/x-ndjson" : "",
                                       .project = project_,
                                       .first_line = part.lines_before + 1});
  }

  void nothing_is_left(std::uint64_t skip) const {
    session_.print(session_.json ? api::to_json(api::SubmitReply{}) + "\n"
                                 : "Nothing is left to hand in after the first " + changes(skip) + ".\n");
  }

  static std::string lines_of(const ChangeFile::Part& part) {
    return "lines " + std::to_string(part.lines_before + 1) + " to " +
           std::to_string(part.lines_before + part.line_count);
  }

  /// "Change 2 (line 2): ", where one of several is at fault and the message does not name its line itself.
  static std::string which_change(const ChangeFile::Part& part, std::size_t index, const std::string& message) {
    auto line = line_of_change(part.text, index);
    if (line) *line += part.lines_before;
    if (line && message.find("ine " + std::to_string(*line)) != std::string::npos) return {};
    return "Change " + std::to_string(part.changes_before + index + 1) +
           (line ? " (line " + std::to_string(*line) + ")" : "") + ": ";
  }

  /// Of a request that failed: what of the file is wrong, and how far it came.
  Error part_refused(const ChangeFile::Part& part, Error error) const {
    if (const auto at = index_of(session_.field_at_fault())) {
      session_.field_at_fault(std::to_string(part.changes_before + at->first) + at->second);
      if (!session_.json) error.message = which_change(part, at->first, error.message) + error.message;
    }
    if (file_.is_array() && (error.code == "too_many_changes" || error.code == "body_too_large"))
      error.message +=
          " Of changes one a line, a file may be as long as it likes: `jq -c '.[]' FILE | neptune-sync change -f -`.";
    if (!part.lines) return error;
    const bool is_open = error.code == "daemon_lost" || error.code == "daemon_timed_out";
    if (is_open) error.message += " They are " + lines_of(part) + " of the file.";
    if (!is_open && accepted_.changes == 0) error.message += " Nothing of the file was accepted now.";
    return with_what_is_accepted(std::move(error));
  }

  /// Of a file that is handed in by parts.
  Error with_what_is_accepted(Error error) const {
    const auto [changes_through, lines_through] = through_;
    if (changes_through == 0) return error;
    error.message += " Accepted are the first " + changes(changes_through) + " of the file, up to line " +
                     std::to_string(lines_through) + "; the same command with `--skip " +
                     std::to_string(changes_through) + "` hands in the rest.";
    return error;
  }

  Session& session_;
  std::string project_;
  Handing handing_;
  ChangeFile file_;
  Accepted accepted_;
  std::pair<std::uint64_t, std::uint64_t> through_;  // changes and lines of the file, up to those accepted now
};

}  // namespace

void add_change(Verb& top, Session& session) {
  auto verb = top.add("change", "Hand in changes as JSON: one object, an array, or one object a line");
  const auto arguments = std::make_shared<Arguments>();
  verb.optional("-f,--file FILE", arguments->file,
                "The file they are in; - is standard input, as it is without this where that is no terminal. All of it "
                "is taken, or nothing; but what is longer than a "
                "request (100,000 changes, 16 MiB) and has one object a line is handed in part by part, each whole or "
                "not at all");
  verb.from_environment("--project PROJECT", arguments->project, "NEPTUNE_PROJECT",
                        "The project of changes that name none, as workspace/project");
  verb.optional("--skip N", arguments->skip, "Leave out the first N changes of the file, which were accepted before");
  arguments->how.add_wait_to(verb);
  verb.action([&session, arguments] {
    if (!arguments->file && ::isatty(STDIN_FILENO) != 0)
      wrong_usage("--file", "Say which file they are in, as in `-f changes.ndjson`, or send them to standard input.");
    auto file = ChangeFile::open(arguments->file.value_or("-"));
    if (!file) return session.fail_with(file.error());
    FileHandIn(session, *arguments, std::move(*file)).run(arguments->skip.value_or(0));
  });
}

}  // namespace neptune::cli
