// CAFFE2_QUANTIZATION_API marks what the plugin exports; all else is hidden.
// The list is short on purpose (plugin/exports.map has the last word): virtual
// functions need no mark, they are reached through their object.
#ifndef CAFFE2_QUANTIZATION_BASE_EXPORT_H_
#define CAFFE2_QUANTIZATION_BASE_EXPORT_H_

#define CAFFE2_QUANTIZATION_API __attribute__((visibility("default")))

#endif  // CAFFE2_QUANTIZATION_BASE_EXPORT_H_
