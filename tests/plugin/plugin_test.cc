// Loading libcaffe2_quantization.so the ways users do.
#include "plugin/plugin.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "caffe2/core/init.h"
#include "caffe2/core/module.h"
#include "caffe2/core/operator.h"
#include "caffe2/utils/proto_utils.h"

namespace {

namespace fs = std::filesystem;

std::string PluginPath() {
  const char* path = std::getenv("CAFFE2_QUANTIZATION_PLUGIN");
  EXPECT_NE(path, nullptr) << "run by ctest";
  return path == nullptr ? "" : path;
}

std::string Ask(void* library, const char* function) {
  auto* call = reinterpret_cast<const char* (*)()>(dlsym(library, function));
  return call == nullptr ? "no such function" : call();
}

bool HasOurOperators() {
  return caffe2::CPUOperatorRegistry()->Has("ByteWeightQuant") &&
         caffe2::CPUOperatorRegistry()->Has("OutputMinMaxObserverAttach");
}

TEST(Plugin, LoadModule) {
  ASSERT_FALSE(HasOurOperators());
  caffe2::LoadModule("caffe2_quantization", PluginPath());
  EXPECT_TRUE(caffe2::HasModule("caffe2_quantization"));
  EXPECT_TRUE(HasOurOperators());
  caffe2::LoadModule("caffe2_quantization", PluginPath());  // twice
  EXPECT_TRUE(HasOurOperators());
}

TEST(Plugin, Dlopen) {
  void* library = dlopen(PluginPath().c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_TRUE(HasOurOperators());
  EXPECT_EQ(Ask(library, "caffe2_quantization_load_error"), "");
  EXPECT_NE(Ask(library, "caffe2_quantization_version"), "");
  EXPECT_EQ(dlopen(PluginPath().c_str(), RTLD_NOW), library) << "twice";
  // The registries point into it: it stays, whoever closes it.
  dlclose(library);
  dlclose(library);
  caffe2::Workspace workspace;
  caffe2::OperatorDef definition;
  definition.set_type("OutputMinMaxObserverInfo");
  definition.add_output("json");
  EXPECT_TRUE(workspace.RunOperatorOnce(definition));
}

TEST(Plugin, RecordCallbacks) {
  void* library = dlopen(PluginPath().c_str(), RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto add =
      reinterpret_cast<decltype(&caffe2_quantization_add_record_callback)>(
          dlsym(library, "caffe2_quantization_add_record_callback"));
  const auto remove =
      reinterpret_cast<decltype(&caffe2_quantization_remove_record_callback)>(
          dlsym(library, "caffe2_quantization_remove_record_callback"));
  ASSERT_NE(add, nullptr);
  ASSERT_NE(remove, nullptr);

  caffe2::Workspace workspace;
  caffe2::NetDef net;
  net.set_name("n");
  auto* op = net.add_op();
  op->set_type("ConstantFill");
  op->add_output("y");
  *op->add_arg() = caffe2::MakeArgument<float>("value", 2.5f);
  *op->add_arg() = caffe2::MakeArgument<std::vector<int64_t>>("shape", {3});
  ASSERT_NE(workspace.CreateNet(net), nullptr);
  caffe2::OperatorDef attach;
  attach.set_type("OutputMinMaxObserverAttach");
  *attach.add_arg() = caffe2::MakeArgument<std::string>("net", "n");
  ASSERT_TRUE(workspace.RunOperatorOnce(attach));

  std::string heard;
  const int64_t id =
      add([](const char* json,
             void* to) { *static_cast<std::string*>(to) += json; },
          &heard);
  EXPECT_GT(id, 0);
  EXPECT_EQ(add(nullptr, nullptr), 0);
  ASSERT_TRUE(workspace.RunNet("n"));
  EXPECT_EQ(remove(id), 0);
  EXPECT_NE(remove(id), 0);
  EXPECT_NE(heard.find("\"max\":2.5"), std::string::npos) << heard;
  const std::string once = heard;
  ASSERT_TRUE(workspace.RunNet("n"));
  EXPECT_EQ(heard, once);
}

TEST(Plugin, ASecondCopyStaysIdle) {
  ASSERT_NE(dlopen(PluginPath().c_str(), RTLD_NOW), nullptr) << dlerror();
  const fs::path copy = fs::temp_directory_path() /
                        ("second_copy." + std::to_string(getpid()) + ".so");
  fs::copy_file(PluginPath(), copy, fs::copy_options::overwrite_existing);
  void* second = dlopen(copy.c_str(), RTLD_NOW);
  ASSERT_NE(second, nullptr) << dlerror();
  EXPECT_NE(Ask(second, "caffe2_quantization_load_error").find("another copy"),
            std::string::npos);
  EXPECT_TRUE(HasOurOperators());
  fs::remove(copy);
}

TEST(Plugin, AnUnknownIsaCapIsAnError) {
  setenv("CAFFE2_QUANTIZATION_MAX_ISA", "quantum", 1);
  void* library = dlopen(PluginPath().c_str(), RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_NE(Ask(library, "caffe2_quantization_load_error").find("'quantum'"),
            std::string::npos);
  EXPECT_FALSE(HasOurOperators());
}

TEST(Plugin, TheIsaCapIsHonoured) {
  setenv("CAFFE2_QUANTIZATION_MAX_ISA", "scalar", 1);
  void* library = dlopen(PluginPath().c_str(), RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_EQ(Ask(library, "caffe2_quantization_isa"), "scalar");
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  caffe2::GlobalInit(&argc, &argv);
  return RUN_ALL_TESTS();
}
