//go:build linux

package link_test

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// A kernel without RDMA says so, and one with it has no device in a new namespace, if
// each is in one alone.
func TestRDMAOfANamespace(t *testing.T) {
	t.Parallel()
	in, other := netnstest.New(t), netnstest.New(t)
	exclusive, err := link.RDMA{}.Exclusive(in)
	if err != nil {
		if !strings.Contains(err.Error(), "the kernel has no RDMA") {
			t.Errorf("got %v", err)
		}
		t.Log("this kernel has no RDMA")
		return
	}
	names, err := link.RDMA{}.Under(in, 1)
	if err != nil || len(names) != 0 {
		t.Errorf("below lo: %q, %v", names, err)
	}
	t.Logf("each device is in one namespace: %t", exclusive)
	err = link.RDMA{}.MoveRDMA("mlx5_77", in, other)
	if err == nil || !strings.Contains(err.Error(), "no such link") {
		t.Errorf("a device that is not there: %v", err)
	}
}
