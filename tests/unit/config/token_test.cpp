#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/unit/config/fixture.h"

namespace neptune::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Tokens : public ConfigTest {
 protected:
  std::filesystem::path token_file(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const auto path = write(name, text);
    chmod(path.c_str(), mode);
    return path;
  }

  Result<Token> read(const std::filesystem::path& file) {
    Config config;
    config.server.api_token_file = file.native();
    return read_token(config);
  }
};

TEST_F(Tokens, ComeFromTheFileWithoutTheWhiteSpaceAroundThem) {
  const auto file = token_file("api-token", " \r\n\teyJhIjoxfQ==\n\n");
  const auto token = read(file);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->text, "eyJhIjoxfQ==");
  EXPECT_EQ(token->origin, file.native());
}

TEST_F(Tokens, AFileThatOthersCanReadIsRefusedWithTheCommandThatMendsIt) {
  for (const mode_t mode : {0640, 0604, 0620, 0660, 0777}) {
    const auto file = token_file("api-token", "secret", mode);
    const auto token = read(file);
    ASSERT_FALSE(token) << mode;
    EXPECT_EQ(token.error().code, "token_file_readable_by_others");
    EXPECT_THAT(token.error().message, HasSubstr("chmod 600 " + file.native()));
    EXPECT_THAT(token.error().message, Not(HasSubstr("secret")));
  }
}

TEST_F(Tokens, AReadOnlyFileOfTheOwnerIsFine) {
  EXPECT_TRUE(read(token_file("api-token", "secret", 0400)));
}

TEST_F(Tokens, ASystemdCredentialMayShowAGroupBit) {
  set("CREDENTIALS_DIRECTORY", directory_.native());
  const auto file = token_file("vision-token", "secret", 0440);
  const auto token = read(file);
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->text, "secret");
}

TEST_F(Tokens, ACredentialsDirectoryElsewhereOpensNoOtherFile) {
  std::filesystem::create_directory(directory_ / "credentials");
  set("CREDENTIALS_DIRECTORY", (directory_ / "credentials").native());
  const auto file = token_file("api-token", "secret", 0440);
  const auto token = read(directory_ / "credentials" / ".." / "api-token");
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code, "token_file_readable_by_others");
  EXPECT_FALSE(read(file));
}

TEST_F(Tokens, ComeFromTheEnvironmentWhenNoFileIsNamed) {
  set("NEPTUNE_API_TOKEN", "  from-the-environment\n");
  const auto token = read({});
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->text, "from-the-environment");
  EXPECT_EQ(token->origin, "NEPTUNE_API_TOKEN");
}

TEST_F(Tokens, ComeFromTheSystemdCredentialLast) {
  set("CREDENTIALS_DIRECTORY", directory_.native());
  const auto file = token_file("api-token", "from-systemd", 0440);
  set("NEPTUNE_API_TOKEN", " ");
  auto token = read({});
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->text, "from-systemd");
  EXPECT_EQ(token->origin, file.native());

  set("NEPTUNE_API_TOKEN", "from-the-environment");
  token = read({});
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(token->text, "from-the-environment");
}

TEST_F(Tokens, ANamedFileThatIsMissingIsAnErrorWhateverTheEnvironmentHolds) {
  set("NEPTUNE_API_TOKEN", "another");
  const auto token = read(directory_ / "nowhere");
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code, "token_file_unreadable");
  EXPECT_THAT(token.error().message, HasSubstr("nowhere"));
}

TEST_F(Tokens, ReachTheDaemonByAReloadOnlyWhereItReadsThemItself) {
  Config config;
  EXPECT_THAT(token_remedy(config), AllOf(HasSubstr("api_token_file"), HasSubstr("then `kill -HUP ")));
  config.server.api_token_file = token_file("api-token", "secret").native();
  EXPECT_THAT(token_remedy(config), AllOf(HasSubstr(config.server.api_token_file), HasSubstr("then `kill -HUP ")));
  set("NOTIFY_SOCKET", "/run/systemd/notify");
  EXPECT_THAT(token_remedy(config), HasSubstr("then `systemctl reload neptune-syncd`."));
  // The package's unit hands it on, and does so at a start only.
  set("CREDENTIALS_DIRECTORY", directory_.native());
  const auto restart = AllOf(HasSubstr("LoadCredential="), HasSubstr("restart"), Not(HasSubstr("reload")));
  EXPECT_THAT(token_remedy(config), restart) << "named by its path";
  config.server.api_token_file.clear();
  EXPECT_THAT(token_remedy(config), restart) << "not named";
  set("NEPTUNE_API_TOKEN", "another");
  EXPECT_THAT(token_remedy(config), AllOf(HasSubstr("NEPTUNE_API_TOKEN"), Not(HasSubstr("reload"))));
}

TEST_F(Tokens, NoneAtAllNamesTheThreePlaces) {
  const auto token = read({});
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code, "token_missing");
  EXPECT_THAT(token.error().message, HasSubstr("api_token_file"));
  EXPECT_THAT(token.error().message, HasSubstr("NEPTUNE_API_TOKEN"));
  EXPECT_THAT(token.error().message, HasSubstr("credential"));
}

TEST_F(Tokens, OfAWorkspaceWithoutOneOfItsOwnAreTheServers) {
  Config config;
  config.server.api_token_file = token_file("api-token", "servers").native();
  config.workspaces.resize(2);
  config.workspaces[0].name = "vision";
  config.workspaces[0].api_token_file = token_file("vision", "visions").native();
  config.workspaces[1].name = "speech";
  EXPECT_EQ(read_token(config, "vision")->text, "visions");
  EXPECT_EQ(read_token(config, "speech")->text, "servers");
  EXPECT_EQ(read_token(config, "unheard-of")->text, "servers");
  EXPECT_EQ(read_token(config)->text, "servers");
}

TEST_F(Tokens, WhatIsNoTokenIsRefusedWithoutBeingShown) {
  for (const auto& [text, code] : {std::pair{std::string(" \n"), "token_empty"},
                                   {std::string("se cret"), "token_malformed"},
                                   {std::string("sec\0ret", 7), "token_malformed"},
                                   {std::string("s\xc3\xa9"
                                                "cret"),
                                    "token_malformed"},
                                   {std::string(16 * 1024 + 1, 'x'), "token_file_too_large"}}) {
    const auto token = read(token_file("api-token", text));
    ASSERT_FALSE(token) << code;
    EXPECT_EQ(token.error().code, code);
    EXPECT_THAT(token.error().message, HasSubstr("api-token"));
    EXPECT_THAT(token.error().message, Not(HasSubstr("cret")));
    EXPECT_LT(token.error().message.size(), 400u);
  }
}

TEST_F(Tokens, ANamedPipeOrADirectoryIsRefusedAtOnce) {
  const auto pipe = directory_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const auto& path : {pipe, directory_}) {
    const auto token = read(path);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, "token_file_unreadable");
    EXPECT_THAT(token.error().message, HasSubstr("not a regular file"));
  }
}

}  // namespace
}  // namespace neptune::config
