// The fuzz targets, as functions: of libFuzzer's executables
// (libfuzzer_entry.cc) and of the test that replays what they found
// (fuzz_regression_test.cc).
//
// A target takes any bytes. It returns what is wrong with the code under test,
// "" when nothing is; a sanitizer or a signal says the rest. Its own input
// decides everything it does, so that a crasher crashes again.
//
// Thread rule: one thread; targets change which kernels the process uses.
#ifndef CAFFE2_QUANTIZATION_TESTS_FUZZ_FUZZ_TARGETS_H_
#define CAFFE2_QUANTIZATION_TESTS_FUZZ_FUZZ_TARGETS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace caffe2_quantization {

// QTensorFromBytes() against protobuf and QTensorDeserializer, and the packed
// byte kernels of every instruction set against the reference.
std::string FuzzQTensorDecoder(const uint8_t* data, std::size_t size);

// InspectBytes(), its scan of messages and its reading of texts against
// protobuf.
std::string FuzzInspect(const uint8_t* data, std::size_t size);

// The readers of profiles (bytes and JSON) and of the observers' text files,
// and what they accept through their writers.
std::string FuzzProfile(const uint8_t* data, std::size_t size);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_FUZZ_FUZZ_TARGETS_H_
