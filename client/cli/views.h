#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

#include "client/cli/text.h"
#include "client/lib/ids.h"
#include "client/lib/types.h"

/// What the verbs print, as text: from the API's types, a style and the present time alone.
namespace neptune::cli {

using Now = std::chrono::system_clock::time_point;

/// `brief`: what is wrong begins it, a line each, cut where it is too long. Of a style with a width.
enum class Length : std::uint8_t { whole, brief };
/// What is wrong comes first, then the scopes, then a last line that sums up.
/// `which`: of several daemons, which one says so: a sentence, or empty.
std::string view(const api::Status& status, const Style& style, Now now, Length length = Length::whole,
                 const std::string& which = {});
/// "trial-7", "files of trial-7", "management".
std::string name_of(const api::Stream& stream);
std::string view(const api::StreamList& list, const Style& style, Now now);
std::string view(const api::RejectedList& list, const Style& style, Now now);
std::string view(const api::Rejected& rejected, const Style& style);
Colour colour_of(const api::Event& event);
std::string view(const api::Event& event, const Style& style);
/// `status`: as it is after it; empty where it is not known.
std::string view(const api::FlushReply& reply, const api::Status& status);
std::string view(const api::WorkspaceList& list, const Style& style);
std::string view(const api::ServerProjectList& list, const Style& style);
std::string view(const api::MemberList& list, bool service_accounts, const Style& style);

/// What was handed in, with one request or with several.
struct Accepted {
  std::uint64_t changes = 0;
  client::Ids ids{};
  std::set<std::string> scopes{};

  void add(const api::SubmitReply& reply);
};
/// " (changes 41 to 42)", where they follow each other.
std::string numbers_of(const Accepted& accepted);
/// `hint`: how to wait for it, for somebody who reads this.
std::string view(const Accepted& accepted, const std::optional<std::string>& run, bool hint, std::size_t width = 0);
std::string view(const api::ReleasePlan& plan, const Style& style);

/// A line a check, and below those that did not go well what to do.
std::string view(const std::vector<api::Check>& checks, const Style& style);
/// How it stands: the last words of a diagnosis.
std::string verdict(const api::Diagnosis& diagnosis, const Style& style);

/// A line a log, largest first, those that stay at the end with the reason; then how many went.
std::string view(const api::TidyReply& reply, const Style& style);

/// Whether `status` reports that something is held: changes, or a scope an operator holds.
bool anything_held(const api::Status& status);

}  // namespace neptune::cli
