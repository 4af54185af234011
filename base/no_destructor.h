// NoDestructor<T>: a static object that is never destroyed, so that other
// threads and other objects' destructors may use it while the process exits.
#ifndef CAFFE2_QUANTIZATION_BASE_NO_DESTRUCTOR_H_
#define CAFFE2_QUANTIZATION_BASE_NO_DESTRUCTOR_H_

#include <new>
#include <utility>

namespace caffe2_quantization {

//   static NoDestructor<std::set<std::string>> names;
//   return *names;
template <typename T>
class NoDestructor {
 public:
  template <typename... Args>
  explicit NoDestructor(Args&&... args) {
    new (storage_) T(std::forward<Args>(args)...);
  }
  NoDestructor(const NoDestructor&) = delete;
  NoDestructor& operator=(const NoDestructor&) = delete;

  T& operator*() { return *std::launder(reinterpret_cast<T*>(storage_)); }
  T* operator->() { return &**this; }

 private:
  alignas(T) unsigned char storage_[sizeof(T)];
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_NO_DESTRUCTOR_H_
