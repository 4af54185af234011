/* The plugin's C interface: what a program can ask of a loaded
 * libcaffe2_quantization.so without C++. Strings live as long as the process.
 *
 * Thread rule: any thread.
 */
#ifndef CAFFE2_QUANTIZATION_PLUGIN_PLUGIN_H_
#define CAFFE2_QUANTIZATION_PLUGIN_PLUGIN_H_

#ifdef __cplusplus
extern "C" {
#endif

#define CAFFE2_QUANTIZATION_C_API __attribute__((visibility("default")))

/* "0.1.0" */
CAFFE2_QUANTIZATION_C_API const char* caffe2_quantization_version(void);

/* "" when the operators are registered; else why they are not (a host of
 * another version, an unknown CAFFE2_QUANTIZATION_MAX_ISA, a second copy of the
 * plugin). */
CAFFE2_QUANTIZATION_C_API const char* caffe2_quantization_load_error(void);

/* The instruction set that the kernels run on: "scalar" (the plain reference),
 * "SCALAR" (a processor without AVX2), "AVX2", "AVX3" (AVX-512) or "AVX3_DL"
 * (AVX-512 with VBMI2, VPOPCNTDQ and VNNI). */
CAFFE2_QUANTIZATION_C_API const char* caffe2_quantization_isa(void);

#ifdef __cplusplus
}
#endif

#endif /* CAFFE2_QUANTIZATION_PLUGIN_PLUGIN_H_ */
