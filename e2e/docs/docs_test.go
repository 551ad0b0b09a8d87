//go:build linux

package docs

import (
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// one is a reader at a machine of his own, with Docker.
func one(t *testing.T) *reader {
	t.Helper()
	netnstest.RequireRoot(t)
	node, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return newReader(t, map[string]*lab.Node{"": node})
}

// The README alone leads to a container with a network card.
func TestReadme(t *testing.T) {
	t.Parallel()
	one(t).follow("readme")
}

// One machine from the beginning to the end: installed, used by labels, looked
// at, upgraded, removed.
func TestOneMachine(t *testing.T) {
	t.Parallel()
	r := one(t)
	r.follow("one-machine")
	r.follow("labels")
	r.follow("look")
	if slots, _ := filepath.Glob("/sys/bus/pci/slots/*/address"); len(slots) > 0 {
		r.exits["nicferry doctor"] = 1 // the files that keep others off what is plugged in are not there
	}
	r.follow("doctor")
	r.follow("bundle")
	r.follow("upgrade")
	r.follow("remove-one-machine")
	out, err := r.machines[""].Run(t.Context(), "sh", "-c", "ls -d /etc/nicferry /var/lib/nicferry /usr/local/bin/nicferry* /sys/class/net/nf-lab 2>/dev/null || true")
	if err != nil || out != "" {
		t.Errorf("after all is removed there is\n%s\n%v", out, err)
	}
}

// The Compose example, on the example configs.
func TestComposeExample(t *testing.T) {
	t.Parallel()
	r := one(t)
	r.follow("one-machine")
	r.follow("compose")
}
