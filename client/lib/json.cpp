#include "client/lib/json.h"

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <concepts>
#include <type_traits>

#include "support/utf8.h"

namespace neptune::api {
namespace {

namespace json = boost::json;

// One list of members a type, walked by the writer (with const values) and by the reader alike: the order here is the
// order of the keys.
template <class T, class Base>
concept Is = std::same_as<std::remove_const_t<T>, Base>;

template <class V, class T>
void counts(V& v, T& x) {
  v("pending", x.pending);
  v("held", x.held);
  v("in_flight", x.in_flight);
  v("synced", x.synced);
  v("rejected", x.rejected);
  v("rejected_kept", x.rejected_kept);
  v("discarded", x.discarded);
}

template <class V, class T>
void totals(V& v, T& x) {
  counts(v, x);
  v("pending_bytes", x.pending_bytes);
  v("held_bytes", x.held_bytes);
  v("oldest_pending_at", x.oldest_pending_at);
}

template <class V, class T>
void scope(V& v, T& x) {
  v("name", x.name);
  v("mode", x.mode);
  v("reason", x.reason);
  v("since", x.since);
  v("next_probe_at", x.next_probe_at);
  v("operator_hold", x.operator_hold);
  v("held_by", x.held_by);
  v("held_since", x.held_since);
  v("inherited", x.inherited);
  totals(v, x);
}

/// A text that is absent when it is empty.
template <class V, class T>
void text_or_null(V& v, std::string_view key, T& text) {
  std::optional<std::string> some;
  if (!text.empty()) some = text;
  v(key, some);
  if constexpr (!std::is_const_v<T>) text = some.value_or("");
}

template <class V, Is<Totals> T>
void members(V& v, T& x) {
  totals(v, x);
}

template <class V, Is<FlushReply> T>
void members(V& v, T& x) {
  counts(v, x);
}

template <class V, Is<ProjectStatus> T>
void members(V& v, T& x) {
  scope(v, x);
}

template <class V, Is<WorkspaceStatus> T>
void members(V& v, T& x) {
  scope(v, x);
  v("projects", x.projects);
}

template <class V, Is<ScopeReply> T>
void members(V& v, T& x) {
  scope(v, x);
  v("message", x.message);
}

template <class V, Is<ServerStatus> T>
void members(V& v, T& x) {
  v("url", x.url);
  v("reachable", x.reachable);
  v("last_success_at", x.last_success_at);
  v("last_error", x.last_error);
  v("token_remedy", x.token_remedy);
  v("token_problem", x.token_problem);
  v("problem", x.problem);
  v("remedy", x.remedy);
  v("known", x.known);
}

template <class V, Is<SourceStatus> T>
void members(V& v, T& x) {
  v("path", x.path);
  v("kind", x.kind);
  v("state", x.state);
  v("detail", x.detail);
  v("project", x.project);
  v("run", x.run);
  v("pending", x.pending);
  v("uploads", x.uploads);
  v("read_only", x.read_only);
}

template <class V, Is<Upload> T>
void members(V& v, T& x) {
  v("project", x.project);
  v("run", x.run);
  v("attribute", x.attribute);
  v("file", x.file);
  v("bytes_done", x.bytes_done);
  v("bytes_total", x.bytes_total);
  v("bytes_per_second", x.bytes_per_second);
  v("seconds_left", x.seconds_left);
}

template <class V, Is<Stuck> T>
void members(V& v, T& x) {
  v("project", x.project);
  v("container_type", x.container_type);
  v("container", x.container);
  v("streams", x.streams);
  v("changes", x.changes);
  v("why", x.why);
  v("missing", x.missing);
}

template <class V, Is<MovedAway> T>
void members(V& v, T& x) {
  v("project", x.project);
  v("changes", x.changes);
  v("to", x.to);
  v("at", x.at);
}

template <class V, Is<DiscardReply> T>
void members(V& v, T& x) {
  v("scope", x.scope);
  v("discarded", x.discarded);
  v("lost", x.lost);
  v("left", x.left);
  v("message", x.message);
}

template <class V, Is<Status> T>
void members(V& v, T& x) {
  v("version", x.version);
  v("pid", x.pid);
  v("state", x.state);
  v("started_at", x.started_at);
  v("reload_with", x.reload_with);
  v("server", x.server);
  v("totals", x.totals);
  v("problems", x.problems);
  v("stuck", x.stuck);
  v("workspaces", x.workspaces);
  v("sources", x.sources);
  v("uploads", x.uploads);
  v("moved", x.moved);
}

template <class V, Is<Stream> T>
void members(V& v, T& x) {
  v("id", x.id);
  v("project", x.project);
  v("container_type", x.container_type);
  v("container", x.container);
  v("source", x.source);
  v("state", x.state);
  v("why", x.why);
  v("waiting_for", x.waiting_for);
  v("missing", x.missing);
  v("retry_at", x.retry_at);
  v("closed", x.closed);
  counts(v, x);
  v("pending_bytes", x.pending_bytes);
  v("lost", x.lost);
  v("moved", x.moved);
  v("moved_to", x.moved_to);
  v("moved_at", x.moved_at);
  v("removed_at", x.removed_at);
  v("removed_by", x.removed_by);
  v("in_trash", x.in_trash);
  v("uploads", x.uploads);
  v("active_uploads", x.active_uploads);
  v("oldest_pending_at", x.oldest_pending_at);
  v("last_synced_at", x.last_synced_at);
  v("known_through", x.known_through);
  v("done_through", x.done_through);
  v("known_at", x.known_at);
}

template <class V, class T>
void rejected(V& v, T& x) {
  v("id", x.id);
  v("at", x.at);
  v("project", x.project);
  v("container_type", x.container_type);
  v("container", x.container);
  v("source", x.source);
  v("position", x.position);
  v("kind", x.kind);
  v("code", x.code);
  v("reason", x.reason);
  v("bytes", x.bytes);
  v("uid", x.uid);
  v("part", x.part);
}

template <class V, Is<Rejected> T>
void members(V& v, T& x) {
  rejected(v, x);
}

template <class V, Is<ExportedRejection> T>
void members(V& v, T& x) {
  rejected(v, x);
  v("payload", x.payload);
}

template <class V, Is<Event> T>
void members(V& v, T& x) {
  v("id", x.id);
  v("at", x.at);
  v("type", x.type);
  v("scope", x.scope);
  v("stream", x.stream);
  v("message", x.message);
  v("count", x.count);
  v("upload", x.upload);
}

template <class V, Is<ReleasePlan> T>
void members(V& v, T& x) {
  v("scope", x.scope);
  v("changes", x.changes);
  v("bytes", x.bytes);
  v("staying", x.staying);
  v("staying_bytes", x.staying_bytes);
  v("seconds", x.seconds);
  v("storage_available", x.storage_available);
  v("fits", x.fits);
  v("uncounted", x.uncounted);
  v("message", x.message);
}

template <class V, Is<TidyItem> T>
void members(V& v, T& x) {
  v("path", x.path);
  v("kind", x.kind);
  v("project", x.project);
  v("container", x.container);
  v("action", x.action);
  v("why", x.why);
  v("bytes", x.bytes);
  v("fingerprint", x.fingerprint);
  v("files", x.files);
  v("left", x.left);
}

template <class V, Is<TidyReply> T>
void members(V& v, T& x) {
  v("found", x.found);
}

template <class V, Is<Check> T>
void members(V& v, T& x) {
  v("check", x.check);
  v("state", x.state);
  v("message", x.message);
  v("remedy", x.remedy);
}

template <class V, Is<Diagnosis> T>
void members(V& v, T& x) {
  v("checks", x.checks);
}

template <class V, Is<ChangePlace> T>
void members(V& v, T& x) {
  v("id", x.id);
  v("state", x.state);
  v("done_through", x.done_through);
  v("rejected", x.rejected);
  text_or_null(v, "why", x.why);
  v("discarded_at", x.discarded_at);
  v("discarded_by", x.discarded_by);
  v("moved_at", x.moved_at);
  text_or_null(v, "moved_to", x.moved_to);
  text_or_null(v, "project", x.project);
  text_or_null(v, "container_type", x.container_type);
  text_or_null(v, "container", x.container);
  text_or_null(v, "source", x.source);
  text_or_null(v, "kind", x.kind);
  v("accepted_at", x.accepted_at);
  v("uid", x.uid);
  v("ahead", x.ahead);
  v("active_uploads", x.active_uploads);
  v("made", x.made);
}

template <class V, Is<WorkspaceList> T>
void members(V& v, T& x) {
  v("workspaces", x.workspaces);
}

template <class V, Is<StreamList> T>
void members(V& v, T& x) {
  v("streams", x.streams);
  v("asked_at", x.asked_at);
}

template <class V, Is<RejectedList> T>
void members(V& v, T& x) {
  v("rejected", x.rejected);
  v("next_before", x.next_before);
}

template <class V, Is<ServerProject> T>
void members(V& v, T& x) {
  v("name", x.name);
  v("visibility", x.visibility);
  v("archived", x.archived);
  v("key", x.key);
  v("description", x.description);
}

template <class V, Is<ServerProjectList> T>
void members(V& v, T& x) {
  v("projects", x.projects);
}

template <class V, Is<Member> T>
void members(V& v, T& x) {
  v("name", x.name);
  v("role", x.role);
  v("service_account", x.service_account);
}

template <class V, Is<MemberList> T>
void members(V& v, T& x) {
  v("members", x.members);
}

template <class V, Is<RejectedReply> T>
void members(V& v, T& x) {
  v("id", x.id);
  v("message", x.message);
}

template <class V, Is<SubmitReply> T>
void members(V& v, T& x) {
  v("ids", x.ids);
  v("accepted", x.accepted);
  v("scopes", x.scopes);
}

/// What is inside of `error`.
template <class V, Is<ErrorReply> T>
void members(V& v, T& x) {
  v("code", x.code);
  v("message", x.message);
  if constexpr (std::is_const_v<T>) {
    if (!x.field) return;
  }
  v("field", x.field);
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <class T>
  void operator()(std::string_view key, const T& value) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_string(out_, key);
    out_ += ':';
    write(value);
  }

  template <class T>
  void write(const T& value) {
    out_ += '{';
    Writer inner(out_);
    members(inner, value);
    out_ += '}';
  }
  void write(const std::string& value) { append_json_string(out_, value); }
  void write(bool value) { out_ += value ? "true" : "false"; }
  void write(std::uint64_t value) { out_ += std::to_string(value); }
  void write(std::int64_t value) { out_ += std::to_string(value); }
  void write(double value) {
    char text[32];
    if (!std::isfinite(value)) {
      out_ += "null";
      return;
    }
    out_.append(text, std::to_chars(text, text + sizeof text, value).ptr);
  }
  template <class T>
  void write(const std::optional<T>& value) {
    if (value)
      write(*value);
    else
      out_ += "null";
  }
  template <class T>
  void write(const std::vector<T>& values) {
    out_ += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      write(values[i]);
    }
    out_ += ']';
  }

 private:
  std::string& out_;
  bool first_ = true;
};

/// Fills in members from an object; remembers the first key whose value has the wrong kind.
class Reader {
 public:
  Reader(const json::object& object, std::string path, std::string& wrong)
      : object_(object), path_(std::move(path)), wrong_(wrong) {}

  template <class T>
  void operator()(std::string_view key, T& value) {
    const auto* found = object_.if_contains(key);
    if (found) read(*found, value, path_.empty() ? std::string(key) : path_ + "." + std::string(key));
  }

 private:
  template <class T>
  void read(const json::value& from, T& to, const std::string& path) {
    const auto* object = from.if_object();
    if (!object) return refuse(path);
    Reader inner(*object, path, wrong_);
    members(inner, to);
  }
  void read(const json::value& from, std::string& to, const std::string& path) {
    const auto* text = from.if_string();
    if (!text) return refuse(path);
    to.assign(text->data(), text->size());
  }
  void read(const json::value& from, bool& to, const std::string& path) {
    const auto* value = from.if_bool();
    if (!value) return refuse(path);
    to = *value;
  }
  void read(const json::value& from, std::uint64_t& to, const std::string& path) { number(from, to, path); }
  void read(const json::value& from, std::int64_t& to, const std::string& path) { number(from, to, path); }
  void read(const json::value& from, double& to, const std::string& path) { number(from, to, path); }
  template <class T>
  void read(const json::value& from, std::optional<T>& to, const std::string& path) {
    to.reset();
    if (!from.is_null()) read(from, to.emplace(), path);
  }
  template <class T>
  void read(const json::value& from, std::vector<T>& to, const std::string& path) {
    const auto* array = from.if_array();
    if (!array) return refuse(path);
    to.clear();
    to.reserve(array->size());
    for (std::size_t i = 0; i < array->size(); ++i)
      read((*array)[i], to.emplace_back(), path + "[" + std::to_string(i) + "]");
  }

  template <class T>
  void number(const json::value& from, T& to, const std::string& path) {
    boost::system::error_code error;
    if (!from.is_number()) return refuse(path);
    const T value = from.to_number<T>(error);
    if (error) return refuse(path);
    to = value;
  }

  void refuse(const std::string& path) {
    if (wrong_.empty()) wrong_ = path;
  }

  const json::object& object_;
  std::string path_;
  std::string& wrong_;
};

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    const auto length = first_utf8_character(text).bytes;
    const auto c = static_cast<unsigned char>(text.front());
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += text.front();
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      out += "\\u00";
      out += hex[c >> 4];
      out += hex[c & 15];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

template <class T>
std::string to_json(const T& value) {
  std::string out;
  if constexpr (std::same_as<T, ErrorReply>) {
    out = R"({"error":)";
    Writer(out).write(value);
    out += '}';
  } else {
    Writer(out).write(value);
  }
  return out;
}

template <class T>
Result<T> from_json(std::string_view text) {
  boost::system::error_code error;
  const auto parsed = json::parse({text.data(), text.size()}, error);
  if (error) return fail("invalid_json", "the text is not JSON: " + error.message());
  const auto* object = parsed.if_object();
  if constexpr (std::same_as<T, ErrorReply>) {
    const auto* inner = object ? object->if_contains("error") : nullptr;
    object = inner ? inner->if_object() : nullptr;
  }
  if (!object) return fail("invalid_json", "the text is JSON, but not the object that was expected");
  T value;
  std::string wrong;
  Reader reader(*object, {}, wrong);
  members(reader, value);
  if (!wrong.empty()) return fail("invalid_json", "the value of '" + wrong + "' is not of the kind it should be");
  return value;
}

#define NEPTUNE_API_TYPE(T)               \
  template std::string to_json(const T&); \
  template Result<T> from_json<T>(std::string_view)
NEPTUNE_API_TYPE(Status);
NEPTUNE_API_TYPE(Totals);
NEPTUNE_API_TYPE(WorkspaceStatus);
NEPTUNE_API_TYPE(WorkspaceList);
NEPTUNE_API_TYPE(StreamList);
NEPTUNE_API_TYPE(Rejected);
NEPTUNE_API_TYPE(RejectedList);
NEPTUNE_API_TYPE(ExportedRejection);
NEPTUNE_API_TYPE(RejectedReply);
NEPTUNE_API_TYPE(ServerProjectList);
NEPTUNE_API_TYPE(MemberList);
NEPTUNE_API_TYPE(Event);
NEPTUNE_API_TYPE(FlushReply);
NEPTUNE_API_TYPE(ScopeReply);
NEPTUNE_API_TYPE(ReleasePlan);
NEPTUNE_API_TYPE(DiscardReply);
NEPTUNE_API_TYPE(SubmitReply);
NEPTUNE_API_TYPE(ChangePlace);
NEPTUNE_API_TYPE(TidyReply);
NEPTUNE_API_TYPE(Diagnosis);
NEPTUNE_API_TYPE(ErrorReply);
#undef NEPTUNE_API_TYPE

}  // namespace neptune::api
