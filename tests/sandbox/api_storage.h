#pragma once

#include <string>
#include <string_view>

#include "tests/sandbox/routes.h"

/// What the object stores have in common.
namespace neptune::sandbox {

/// A file that is complete: it is kept, accounted to its project, and written to the state file.
struct CompleteFile {
  ProjectName project;
  std::string path, content_type;
  std::uint64_t bytes = 0;
  std::string sha256;
  std::string container, attribute;  ///< 1.x: whose attribute it becomes; else empty
  std::string set;                   ///< 1.x: the path of the set it is in; else empty
  Content content{};                 ///< 1.x: its bytes, for downloads
};
void keep_file(World& world, CompleteFile file);

/// An object store's refusal, in XML.
[[noreturn]] void refuse_xml(unsigned status, std::string_view code, std::string_view message);

/// A call of an object store: without a token, the body spooled. A request that carries one is refused, and counted.
void add_store_route(World& world, std::string method, std::string pattern, Handler handle);

/// What the URL was signed for; 403 where it expired or was never signed.
SignedUrl signed_url(World& world, const Request& request, StoreKind kind);

void add_aws_store(World& world);
void add_gcp_store(World& world);
void add_azure_store(World& world);

}  // namespace neptune::sandbox
