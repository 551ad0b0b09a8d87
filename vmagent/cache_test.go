//go:build linux

package vmagent_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// F52: an agent finds its cache damaged: cut, empty, zeros, another's or a bit
// too much. While the controller is away containers keep their NICs as they
// are; when it is back all goes on.
func TestF52_ADamagedCacheCostsTimeAlone(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"empty":   func([]byte) []byte { return nil },
		"zeros":   func(b []byte) []byte { return make([]byte, len(b)) },
		"other":   func([]byte) []byte { return []byte(`{"a": 1}`) },
		"null":    func([]byte) []byte { return []byte("null") },
		"nothing": func([]byte) []byte { return []byte("[]") },
		"flipped": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"`), []byte(`'`)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
			claim := r.bound(id(1))
			before := netnstest.Run(t, ns, "ip", "-o", "addr", "show", "eth0")
			r.away.set(true)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			damaged := 0
			err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				damaged++
				return os.WriteFile(path, damage(b), 0o600)
			})
			if err != nil || damaged == 0 {
				t.Fatalf("%d files damaged, %v", damaged, err)
			}
			r.start()
			r.engine.change(id(1), func() {}) // an event, which has it looked at
			r.away.set(false)
			r.engine.run(t, id(2), map[string]string{nic.LabelNetwork: "veth"})
			r.bound(id(2))
			if after := netnstest.Run(t, ns, "ip", "-o", "addr", "show", "eth0"); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			if got := r.claims()[id(1)]; got.Phase != nic.ClaimBound || got.NIC != claim.NIC {
				t.Errorf("claim is %s with %s, want bound with %s", got.Phase, got.NIC, claim.NIC)
			}
			r.engine.die(id(1))
			r.engine.remove(id(1))
			r.until("the first to be given back", func() bool { _, there := r.claims()[id(1)]; return !there })
		})
	}
}

// F52: a cache that takes nothing, as on a full disk, keeps no NIC from a
// container.
func TestF52_ACacheThatTakesNothing(t *testing.T) {
	r := newRig(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.dir = filepath.Join(t.TempDir(), "file", "below")
	if err := os.WriteFile(filepath.Dir(r.dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	claim := r.bound(id(1))
	if links := r.links(ns); !strings.Contains(links, claim.Identity.Addrs[0].String()) {
		t.Errorf("the container has %s", links)
	}
	r.engine.die(id(1))
	r.engine.remove(id(1))
	r.until("it to be given back", func() bool { _, there := r.claims()[id(1)]; return !there })
}
