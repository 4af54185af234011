// RETURN_IF_ERROR: the short name of status.h's macro, for our own sources.
//
// A macro knows no namespace, and any header of a host may define this one. So
// no header that is installed includes this file.
#ifndef CAFFE2_QUANTIZATION_BASE_RETURN_IF_ERROR_H_
#define CAFFE2_QUANTIZATION_BASE_RETURN_IF_ERROR_H_

#include "base/status.h"

#ifdef RETURN_IF_ERROR
#error "RETURN_IF_ERROR is defined already, by a header that came before."
#endif

// Evaluates an expression that is a Status; returns from the function if that
// is an error.
#define RETURN_IF_ERROR(expression) \
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(expression)

#endif  // CAFFE2_QUANTIZATION_BASE_RETURN_IF_ERROR_H_
