#include "observers/operator_run.h"

#include "caffe2/core/workspace.h"

namespace caffe2_quantization {
namespace {

// An operator's workspace notes the position of the one that failed last, and
// nothing else says that Run() returned false; but the operator keeps its
// workspace to itself. An explicit instantiation may name a private member.
struct WorkspaceMember {
  using Type = caffe2::Workspace* caffe2::OperatorBase::*;
  friend Type Member(WorkspaceMember);
};
template <typename Tag, typename Tag::Type kMember>
struct Reveal {
  friend typename Tag::Type Member(Tag) { return kMember; }
};
template struct Reveal<WorkspaceMember, &caffe2::OperatorBase::operator_ws_>;

std::atomic<int>* LastFailedPosition(caffe2::OperatorBase* op) {
  caffe2::Workspace* workspace = WorkspaceOf(*op);
  const bool noted =
      workspace != nullptr &&
      op->net_position() != caffe2::OperatorBase::kNoNetPositionSet;
  return noted ? &workspace->last_failed_op_net_position : nullptr;
}

}  // namespace

caffe2::Workspace* WorkspaceOf(const caffe2::OperatorBase& op) {
  return op.*Member(WorkspaceMember());
}

OperatorRun::~OperatorRun() { order_.load(std::memory_order_acquire); }

void OperatorRun::Start(bool armed) {
  order_.load(std::memory_order_acquire);
  armed_ = armed;
  before_ = std::current_exception();
  // That this very operator failed once is history: it runs again.
  if (std::atomic<int>* last_failed = LastFailedPosition(op_)) {
    int position = op_->net_position();
    if (last_failed->load(std::memory_order_relaxed) == position) {
      last_failed->compare_exchange_strong(
          position, caffe2::OperatorBase::kNoNetPositionSet);
    }
  }
}

bool OperatorRun::Failed() {
  // before_ is not null where the net itself is run from a handler.
  if (std::current_exception() != before_) return true;
  if (!op_->IsEventDisabled() &&
      op_->event().Query() == caffe2::EventStatus::EVENT_FAILED) {
    return true;
  }
  const std::atomic<int>* last_failed = LastFailedPosition(op_);
  return last_failed != nullptr && *last_failed == op_->net_position();
}

void OperatorRun::Stop() {
  before_ = nullptr;
  order_.store(true, std::memory_order_release);
}

}  // namespace caffe2_quantization
