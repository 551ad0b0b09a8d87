// Package aliyun has the scenarios of Alibaba Cloud: real daemons and containers, its
// own SDK, and a cloud in memory that plugs its interfaces into the machines.
package aliyun
