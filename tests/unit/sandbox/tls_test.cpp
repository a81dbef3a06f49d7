#include "tests/integration/support/process.h"
#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

/// A key and a certificate for localhost: key.pem and cert.pem in the folder.
void make_certificate(const testing::TempDir& folder) {
  testing::Process::Options options;
  options.binary = "/usr/bin/openssl";
  options.args = {"req",
                  "-x509",
                  "-newkey",
                  "ec",
                  "-pkeyopt",
                  "ec_paramgen_curve:prime256v1",
                  "-nodes",
                  "-days",
                  "2",
                  "-subj",
                  "/CN=localhost",
                  "-keyout",
                  (folder / "key.pem").string(),
                  "-out",
                  (folder / "cert.pem").string()};
  options.output_dir = folder.path();
  testing::Process openssl(std::move(options));
  ASSERT_EQ(openssl.wait(std::chrono::seconds(20)), 0) << openssl.err();
}

TEST(Tls, ServesTheSameCalls) {
  const testing::TempDir folder;
  make_certificate(folder);
  Served served({"--host", "localhost", "--tls-cert", (folder / "cert.pem").string(), "--tls-key",
                 (folder / "key.pem").string()});
  EXPECT_TRUE(served.sandbox().url().starts_with("https://localhost:"));
  EXPECT_EQ(served.ingest(create("run")), (Counts{{IngestCode::ok, 1}}));
  EXPECT_EQ(served.sandbox().stop(), 0);
}

TEST(Tls, WithAWrongFileDoesNotStart) {
  const testing::TempDir folder;
  EXPECT_THROW(testing::Sandbox(folder.path(), {"--tls-cert", "/none", "--tls-key", "/none"}), std::runtime_error);
}

}  // namespace
}  // namespace neptune::sandbox
