#include "netdef/net_hash.h"

#include <gtest/gtest.h>

#include <functional>

#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {
namespace {

using caffe2::Argument;
using caffe2::NetDef;
using caffe2::OperatorDef;

NetDef SmallNet() {
  NetDef net;
  net.set_name("small");
  net.add_external_input("x");
  net.add_external_output("y");
  OperatorDef* op = net.add_op();
  op->set_type("Conv");
  op->add_input("x");
  op->add_input("w");
  op->add_output("y");
  Argument* kernel = op->add_arg();
  kernel->set_name("kernel");
  kernel->set_i(3);
  Argument* order = op->add_arg();
  order->set_name("order");
  order->set_s("NCHW");
  Argument* step = net.add_op()->add_arg();
  step->set_name("step_net");
  step->mutable_n()->add_op()->set_type("MatMul");
  return net;
}

std::string HashAfter(const std::function<void(NetDef*)>& change) {
  NetDef net = SmallNet();
  change(&net);
  return NetHash(net);
}

TEST(NetHash, IsStable) {
  // In the files of users: it must never change.
  EXPECT_EQ(NetHash(NetDef()), "10e45c7ce2292320743df94ee4c78a2a");
  EXPECT_EQ(NetHash(SmallNet()), "51b7c6a2367f59229ebb53b71c1ee496");
}

TEST(NetHash, HowANetRunsLeavesNoTrace) {
  const std::string hash = NetHash(SmallNet());
  const std::function<void(NetDef*)> changes[] = {
      [](NetDef* net) { net->set_name("other"); },
      [](NetDef* net) { net->set_type("dag"); },
      [](NetDef* net) { net->set_num_workers(8); },
      [](NetDef* net) { net->add_arg()->set_name("any"); },
      [](NetDef* net) { net->mutable_device_option()->set_device_type(1); },
      [](NetDef* net) { net->mutable_op(0)->set_engine("ONEDNN"); },
      [](NetDef* net) { net->mutable_op(0)->set_name("first"); },
      [](NetDef* net) { net->mutable_op(0)->set_debug_info("line 1"); },
      [](NetDef* net) {
        net->mutable_op(0)->mutable_device_option()->set_numa_node_id(1);
      },
      [](NetDef* net) {
        net->mutable_op(0)->mutable_arg()->SwapElements(0, 1);
      },
      [](NetDef* net) {
        net->mutable_op(1)->mutable_arg(0)->mutable_n()->set_name("step");
      },
  };
  for (const auto& change : changes) EXPECT_EQ(HashAfter(change), hash);
}

TEST(NetHash, WhatANetComputesDoes) {
  std::vector<std::string> hashes = {NetHash(SmallNet())};
  const std::function<void(NetDef*)> changes[] = {
      [](NetDef* net) { net->mutable_op(0)->set_type("FC"); },
      [](NetDef* net) { net->mutable_op(0)->set_input(0, "z"); },
      [](NetDef* net) {
        net->mutable_op(0)->mutable_input()->SwapElements(0, 1);
      },
      [](NetDef* net) { net->mutable_op(0)->add_output("z"); },
      [](NetDef* net) {
        // The last input becomes the first output.
        net->mutable_op(0)->mutable_input()->RemoveLast();
        net->mutable_op(0)->add_output("w");
        net->mutable_op(0)->mutable_output()->SwapElements(0, 1);
      },
      [](NetDef* net) { net->mutable_op(0)->mutable_arg(0)->set_i(5); },
      [](NetDef* net) { net->mutable_op(0)->mutable_arg(0)->set_name("pad"); },
      [](NetDef* net) { net->mutable_op(0)->mutable_arg(0)->clear_i(); },
      [](NetDef* net) { net->mutable_op()->SwapElements(0, 1); },
      [](NetDef* net) { net->mutable_op()->RemoveLast(); },
      [](NetDef* net) { net->add_external_input("w"); },
      [](NetDef* net) { net->clear_external_output(); },
      [](NetDef* net) {
        net->mutable_op(1)
            ->mutable_arg(0)
            ->mutable_n()
            ->mutable_op(0)
            ->set_type("FC");
      },
  };
  for (const auto& change : changes) hashes.push_back(HashAfter(change));
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    EXPECT_EQ(hashes[i].size(), 32u);
    for (std::size_t k = 0; k < i; ++k) EXPECT_NE(hashes[i], hashes[k]) << i;
  }
}

}  // namespace
}  // namespace caffe2_quantization
