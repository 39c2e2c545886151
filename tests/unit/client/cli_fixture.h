// The program `aibackend`, run as a child against a double of the service.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/client/child.h"
#include "tests/unit/client/fake_backend.h"

namespace aibackend::client {

class CliTest : public ::testing::Test {
 protected:
  CliTest() : folder_(::testing::TempDir() + "/cli_test_" + TestName()) {
    std::filesystem::create_directories(folder_);
  }
  ~CliTest() override { std::filesystem::remove_all(folder_); }

  static std::string TestName() {
    return ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  std::vector<std::string> Command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {AIB_PROGRAM, "--server", backend_.target()});
    return arguments;
  }
  Finished Run(std::vector<std::string> arguments, const std::string& input = {},
               const std::vector<std::string>& environment = {}) const {
    return RunChild(Command(std::move(arguments)), input, environment);
  }
  std::string File(const std::string& name, const std::string& content) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

  std::string ReadFile(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const std::filesystem::path folder_;
  FakeBackend backend_;
};

}  // namespace aibackend::client
