// A run's producer, as a process of its own: it writes a run log the way the Python client does, on command.
//
// One command a line on standard input, one answer a line on standard output: "ok ...", or "error ...".
//   begin DIR STAGE   makes the log up to a stage: connect | schema | metadata | create
//   attach DIR        opens an existing log, like the client's own sync process
//   insert COUNT SIZE            rows of one size, in one transaction
//   paced COUNT SIZE PAUSE_MS    rows committed one by one; answers the longest commit in microseconds
//   hold / let-go                takes the write lock, gives it back
//   upload [FILE SIZE TEMPORARY]  asks for a file to be uploaded
//   mode FILE MODE               changes a file's mode (octal)
//   remove FILE                  removes it, with all that is in it
//   close                        closes the database
//   close-and-remove             what the client does at its end: closes, and removes the log if it is empty
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "support/sqlite.h"

namespace {

using namespace neptune;
namespace fs = std::filesystem;

constexpr const char* schema = R"(
  CREATE TABLE run_operations (sequence_id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL,
    operation_type INTEGER NOT NULL, operation BLOB NOT NULL, operation_size_bytes INTEGER NOT NULL);
  CREATE INDEX idx_run_operations_sequence_size ON run_operations (sequence_id, operation_size_bytes);
  CREATE TABLE metadata (id INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL, project TEXT NOT NULL,
    run_id TEXT NOT NULL);
  CREATE TABLE run_operation_submission (sequence_id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL,
    request_id TEXT NOT NULL);
  CREATE TABLE file_upload_requests (id INTEGER PRIMARY KEY AUTOINCREMENT, source_path TEXT NOT NULL,
    destination TEXT NOT NULL, mime_type TEXT NOT NULL, size_bytes INTEGER NOT NULL, is_temporary INTEGER NOT NULL);
  CREATE TABLE operation_errors (error_id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL,
    error_type TEXT NOT NULL, error_details TEXT NOT NULL, error_body TEXT NOT NULL, sequence_id INTEGER);)";

class Writer {
 public:
  Result<std::string> run(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "begin") return begin(words);
    if (verb == "attach") return attach(words);
    if (verb == "insert") return insert(words);
    if (verb == "paced") return paced(words);
    if (verb == "hold") return exec("BEGIN IMMEDIATE");
    if (verb == "let-go") return exec("ROLLBACK");
    if (verb == "upload") return upload(words);
    if (verb == "mode") return mode(words);
    if (verb == "remove") return remove(words);
    if (verb == "close") return close();
    if (verb == "close-and-remove") return close_and_remove();
    return fail("usage", "what is " + verb + "?");
  }

 private:
  Result<void> open(sqlite::Access access) {
    auto opened = sqlite::Database::open(directory_ / "run_operations.sqlite3",
                                         {.access = access, .busy_timeout = std::chrono::seconds(5)});
    if (!opened) return std::unexpected(opened.error());
    database_.emplace(std::move(*opened));
    return database_->exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; SELECT * FROM sqlite_schema");
  }

  Result<std::string> begin(std::istream& words) {
    std::string stage;
    words >> directory_ >> stage;
    fs::create_directories(directory_);
    if (auto opened = open(sqlite::Access::create); !opened) return std::unexpected(opened.error());
    if (stage == "connect") return "";
    if (auto made = exec(schema); !made || stage == "schema") return made;
    auto named = exec("INSERT INTO metadata(version, project, run_id) VALUES('v5', 'ml-team/classification', 'run-1')");
    if (!named || stage == "metadata") return named;
    return exec("INSERT INTO run_operations VALUES(NULL, 1000, 1, x'2204666f6f31', 6)");
  }

  Result<std::string> attach(std::istream& words) {
    words >> directory_;
    if (auto opened = open(sqlite::Access::read_write); !opened) return std::unexpected(opened.error());
    return "";
  }

  Result<void> insert_row(std::size_t size) {
    auto row = database_->prepare("INSERT INTO run_operations VALUES(NULL, 2000, 0, zeroblob(?), ?)");
    if (!row) return std::unexpected(row.error());
    return row->bind(size, size).run();
  }

  Result<std::string> insert(std::istream& words) {
    std::size_t count = 0, size = 0;
    words >> count >> size;
    if (auto begun = exec("BEGIN"); !begun) return begun;
    for (; count > 0; --count)
      if (auto row = insert_row(size); !row) return std::unexpected(row.error());
    return exec("COMMIT");
  }

  Result<std::string> paced(std::istream& words) {
    std::size_t count = 0, size = 0, pause = 0;
    words >> count >> size >> pause;
    std::chrono::steady_clock::duration longest{};
    for (; count > 0; --count) {
      const auto begun = std::chrono::steady_clock::now();
      if (auto row = insert_row(size); !row) return std::unexpected(row.error());
      longest = std::max(longest, std::chrono::steady_clock::now() - begun);
      std::this_thread::sleep_for(std::chrono::milliseconds(pause));
    }
    return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(longest).count());
  }

  Result<std::string> upload(std::istream& words) {
    std::string file = "/tmp/x";
    std::size_t size = 1;
    bool temporary = false;
    words >> file >> size >> temporary;
    auto row = database_->prepare("INSERT INTO file_upload_requests VALUES(NULL, ?, 'd', 'text/plain', ?, ?)");
    if (!row) return std::unexpected(row.error());
    if (auto done = row->bind(std::string_view(file), size, temporary).run(); !done)
      return std::unexpected(done.error());
    return "";
  }

  static Result<std::string> mode(std::istream& words) {
    fs::path file;
    unsigned mode = 0;
    words >> file >> std::oct >> mode;
    fs::permissions(file, fs::perms(mode));
    return "";
  }

  static Result<std::string> remove(std::istream& words) {
    fs::path file;
    words >> file;
    fs::remove_all(file);
    return "";
  }

  Result<std::string> exec(const std::string& sql) {
    if (auto done = database_->exec(sql); !done) return std::unexpected(done.error());
    return "";
  }

  Result<std::string> close() {
    database_.reset();
    return "";
  }

  Result<std::string> close_and_remove() {
    auto left = database_->number("SELECT count(*) FROM run_operations");
    database_.reset();
    if (!left || *left > 0) return "kept";
    fs::remove(directory_ / "run_operations.sqlite3");
    std::error_code error;
    fs::remove(directory_, error);
    return error ? "directory stays" : "removed";
  }

  fs::path directory_;
  std::optional<sqlite::Database> database_;
};

}  // namespace

int main() {
  Writer writer;
  for (std::string line; std::getline(std::cin, line);) {
    const auto answer = writer.run(line);
    std::cout << (answer ? "ok " + *answer : "error " + answer.error().message) << std::endl;
  }
}
