#include "app/portable_queue.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "client/lib/time.h"
#include "sources/change_queue/needs.h"
#include "support/base64.h"
#include "support/clock.h"
#include "support/sizes.h"
#include "support/try.h"

namespace neptune::app {

namespace json = boost::json;

namespace {

constexpr std::size_t buffered = 256u << 10;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(std::string_view bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string text() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned length = 0;
    EVP_DigestFinal_ex(context_, hash.data(), &length);
    std::string out;
    for (unsigned i = 0; i < length; ++i) out += fmt::format("{:02x}", hash.at(i));
    return out;
  }

 private:
  EVP_MD_CTX* context_;
};

std::optional<ContainerKind> container_kind(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(ContainerKind::files); ++i)
    if (name(static_cast<ContainerKind>(i)) == word) return static_cast<ContainerKind>(i);
  return std::nullopt;
}

std::string text_of(const json::object& line, const char* key) {
  return json::value_to<std::string>(line.at(key));
}

/// Throws what the JSON library throws of a line that is not as it should be.
sources::Handed change_of(const json::object& line) {
  Change change;
  const auto kind = change_kind(text_of(line, "kind"));
  const auto container = container_kind(text_of(line, "container_kind"));
  auto payload = decode_base64(text_of(line, "payload"), Base64::standard);
  if (!kind || !container || !payload) throw std::invalid_argument("an unknown kind, or no base64");
  change.kind = *kind;
  change.container = {{text_of(line, "workspace"), text_of(line, "project")}, text_of(line, "container"), *container};
  change.frees = line.at("frees").as_bool();
  change.creates = line.at("creates").as_bool();
  auto needs = sources::read_needs(text_of(line, "needs"));
  change.fork_parent = std::move(needs.fork_parent);
  change.after = std::move(needs.after);
  change.discard_pending = needs.discards;
  change.payload = std::move(*payload);
  change.idempotency_key = text_of(line, "key");
  sources::Handed handed;
  handed.changes.push_back(std::move(change));
  handed.by.uid = line.at("uid").to_number<std::uint32_t>();
  handed.at = api::parse_time(text_of(line, "at"));
  return handed;
}

}  // namespace

class PortableWriter::Digest : public Sha256 {};

PortableWriter::PortableWriter(int fd, std::string name)
    : fd_(fd), name_(std::move(name)), digest_(std::make_unique<Digest>()) {}
PortableWriter::~PortableWriter() = default;

Result<void> PortableWriter::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const auto n = ::write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("export_not_written", fmt::format("{} cannot be written: {}", name_, std::strerror(errno)));
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  buffer_.clear();
  return {};
}

Result<void> PortableWriter::write(const std::string& line) {
  digest_->add(line);
  buffer_ += line;
  return buffer_.size() < buffered ? Result<void>{} : flush();
}

Result<void> PortableWriter::begin(std::uint64_t queue, bool moved, const std::string& now) {
  const json::object head{{"neptune_sync_export", portable_version},
                          {"made_by", "neptune-syncd " NEPTUNE_VERSION},
                          {"at", now},
                          {"queue", std::to_string(queue)},
                          {"moved", moved}};
  return write(json::serialize(head) + "\n");
}

Result<void> PortableWriter::add(const sources::QueueStore::Whole& whole) {
  const auto& change = whole.change;
  const json::object line{{"seq", change.position},
                          {"workspace", change.container.project.workspace},
                          {"project", change.container.project.project},
                          {"container_kind", name(change.container.kind)},
                          {"container", change.container.id},
                          {"kind", name(change.kind)},
                          {"uid", change.uid.value_or(0)},
                          {"at", format_time(change.at)},
                          {"frees", whole.frees},
                          {"creates", change.creates},
                          {"needs", sources::write_needs(whole.needs)},
                          {"key", whole.idempotency_key},
                          {"payload", encode_base64(change.payload)}};
  changes_++;
  return write(json::serialize(line) + "\n");
}

Result<void> PortableWriter::end() {
  const json::object last{{"changes", changes_}, {"sha256", digest_->text()}};
  buffer_ += json::serialize(last) + "\n";
  NEPTUNE_TRY(flush());
  // A pipe or a terminal has no disk.
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS)
    return fail("export_not_written", fmt::format("{} cannot be put on disk: {}", name_, std::strerror(errno)));
  return {};
}

Result<PortableReader> PortableReader::open(const std::filesystem::path& file) {
  PortableReader reader;
  reader.file_ = file;
  reader.in_.open(file, std::ios::binary);
  if (!reader.in_)
    return fail("export_unreadable", fmt::format("{} cannot be read: {}", file.string(), std::strerror(errno)));
  NEPTUNE_TRY(reader.check());
  return reader;
}

std::unexpected<Error> PortableReader::damaged(const std::string& why) const {
  return fail("export_damaged", fmt::format("{} is not a whole export of neptune-syncd: {}. Nothing was taken from it.",
                                            file_.string(), why));
}

Result<void> PortableReader::check() {
  // The last line is the checksum of those before it: each is added when the next one is there.
  std::string line, before;
  std::uint64_t lines = 0;
  Sha256 checksum;
  try {
    for (; std::getline(in_, line); ++lines) {
      if (in_.eof()) return damaged("its last line has no end");
      if (lines == 0) {
        const auto head = json::parse(line).as_object();
        const auto version = head.at("neptune_sync_export").to_number<int>();
        if (version > portable_version)
          return fail("export_too_new",
                      fmt::format("{} was written by a newer neptune-syncd (version {}); import it with that one",
                                  file_.string(), version));
        queue_ = text_of(head, "queue");
        moved_ = head.at("moved").as_bool();
      } else {
        checksum.add(before + "\n");
      }
      before = line;
    }
    if (lines < 2) return damaged("it ends before its last line");
    const auto last = json::parse(before).as_object();
    changes_ = last.at("changes").to_number<std::uint64_t>();
    if (changes_ != lines - 2)
      return damaged(fmt::format("it should hold {}, and holds {}", number_of(changes_, "change"), lines - 2));
    if (text_of(last, "sha256") != checksum.text()) return damaged("its checksum is another one");
  } catch (const std::exception&) {  // the JSON library's words, which say nothing to whoever imports
    if (lines == 0) return damaged("it does not begin as one does");
    return damaged(fmt::format("line {} is not as an export ends", lines));
  }
  return {};
}

Result<void> PortableReader::each(const Each& f) {
  in_.clear();
  in_.seekg(0);
  std::string line;
  std::getline(in_, line);
  for (std::uint64_t number = 0; number < changes_ && std::getline(in_, line); ++number) {
    std::optional<sources::Handed> read;
    sources::Position position = 0;
    try {
      const auto object = json::parse(line).as_object();
      read = change_of(object);
      position = object.at("seq").to_number<sources::Position>();
      auto& key = read->changes.front().idempotency_key;
      if (key.empty()) key = fmt::format("export:{}:{}", queue_, position);
    } catch (const std::exception&) {
      return damaged(fmt::format("line {} is no change of an export", number + 2));
    }
    NEPTUNE_TRY(f(position, std::move(*read)));
  }
  return {};
}

}  // namespace neptune::app
