//go:build linux

package lab_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

func TestPowerOffAndOn(t *testing.T) {
	netnstest.RequireRoot(t)
	node, err := lab.Start(t.Context(), lab.Options{NoEngine: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	process, err := node.Spawn(lab.Program{Name: "sleeper", Args: []string{"sleep", "infinity"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(node.Dir(), "kept"), filepath.Join(node.Root(), "run", "lost")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := node.PowerOn(t.Context()); err == nil {
		t.Error("a node that is on is powered on")
	}
	for range 2 {
		if err := node.PowerOff(); err != nil {
			t.Fatal(err)
		}
	}
	<-process.Done()
	if _, err := node.Run(t.Context(), "true"); !errors.Is(err, lab.ErrClosed) {
		t.Errorf("a program on a node that is off: %v", err)
	}
	if err := node.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Run(t.Context(), "sh", "-c", `test -e "$0/kept" && ! test -e /run/lost && ip -br addr show dev lo | grep -q 127.0.0.1`, node.Dir()); err != nil {
		t.Error(err)
	}
}
