//go:build linux

// Package hypertest gives a test a hypervisor of its own.
package hypertest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// New starts a hypervisor with a switch of that name, a Linux bridge. All of it goes
// with the test.
func New(t *testing.T, bridge string) *hyper.Host {
	t.Helper()
	netnstest.RequireRoot(t)
	parent, err := os.MkdirTemp("", "nf-hyper-") // t.TempDir is too long a path for sockets
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "h")
	t.Cleanup(func() {
		if err := hyper.Stop(context.WithoutCancel(t.Context()), dir); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	h, err := hyper.Start(t.Context(), hyper.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"link", "add", bridge, "type", "bridge"}, {"link", "set", bridge, "up"}} {
		if _, err := h.Run(t.Context(), "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	return h
}
