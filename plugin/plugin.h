/* The plugin's C interface: what a program can ask of a loaded
 * libcaffe2_quantization.so without C++. Strings that are returned live as long
 * as the process.
 *
 * Thread rule: any thread.
 */
#ifndef CAFFE2_QUANTIZATION_PLUGIN_PLUGIN_H_
#define CAFFE2_QUANTIZATION_PLUGIN_PLUGIN_H_

#include <stdint.h>

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

/* Called after each output that any observer of the process has recorded, by
 * the thread that ran the operator and under no lock; by several threads at
 * once when several run operators. record_json is one JSON object in one line
 * and lives as long as the call:
 *   net, observer (its label), path (of the operator: "3", or "3/then_net/2" of
 *   one within operator 3), op_index (with which the path begins), step_index
 *   (-1: no step of a recurrent net of the net itself), op_type, output_index,
 *   tensor_name, type, shape; of this run alone: min, max (null without a
 * finite value), raw_min, raw_max (of quantized tensors, else null), count,
 * zero, nan, positive_infinity, negative_infinity; and run, the operator's
 * recorded runs up to this one. It must not attach or detach observers. */
typedef void (*caffe2_quantization_record_callback)(const char* record_json,
                                                    void* user_data);

/* The callback's id, above 0; 0 for a null callback. */
CAFFE2_QUANTIZATION_C_API int64_t caffe2_quantization_add_record_callback(
    caffe2_quantization_record_callback callback, void* user_data);

/* 0: removed, and none of its calls is running or will start after the return
 * (unless this is called from inside a callback). Another value: there is no
 * callback with this id. */
CAFFE2_QUANTIZATION_C_API int caffe2_quantization_remove_record_callback(
    int64_t id);

#ifdef __cplusplus
}
#endif

#endif /* CAFFE2_QUANTIZATION_PLUGIN_PLUGIN_H_ */
