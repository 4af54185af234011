// protoc with the two generators this project needs, C++ and Python, and none
// of the other languages'.

#include <google/protobuf/compiler/command_line_interface.h>
#include <google/protobuf/compiler/cpp/cpp_generator.h>
#include <google/protobuf/compiler/python/python_generator.h>

int main(int argc, char* argv[]) {
  google::protobuf::compiler::CommandLineInterface command_line;
  command_line.AllowPlugins("protoc-");

  google::protobuf::compiler::cpp::CppGenerator cpp;
  command_line.RegisterGenerator("--cpp_out", "--cpp_opt", &cpp,
                                 "Generate C++ header and source.");

  google::protobuf::compiler::python::Generator python;
  command_line.RegisterGenerator("--python_out", &python,
                                 "Generate Python source file.");

  return command_line.Run(argc, argv);
}
