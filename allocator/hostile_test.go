package allocator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// S11: no string that a node or a container chooses becomes part of a key or a
// path that leads elsewhere.
func TestS11_TraversalInEveryField(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		for _, bad := range []string{"../../etc/passwd", "..", "a/b", "/", "\x00", "claim/x", strings.Repeat("../", 100)} {
			if _, err := r.alloc.Hello(t.Context(), bad, nic.Inventory{Boot: bad, Kernel: bad, Docker: bad, AgentVersion: bad}); err == nil {
				t.Errorf("node %q was let in", bad)
			}
			for field, spoil := range map[string]func(*nic.Owner, *nic.Request){
				"node":      func(o *nic.Owner, _ *nic.Request) { o.Node = bad },
				"kind":      func(o *nic.Owner, _ *nic.Request) { o.Kind = nic.OwnerKind(bad) },
				"sandbox":   func(o *nic.Owner, _ *nic.Request) { o.Sandbox = bad },
				"interface": func(o *nic.Owner, req *nic.Request) { o.Interface, req.Interface = bad, bad },
			} {
				o, req := owner("0001"), nic.Request{Interface: "eth0", Network: "web"}
				spoil(&o, &req)
				if claim, err := r.alloc.Acquire(t.Context(), o, "x", req); err == nil {
					t.Errorf("%s %q: got claim %+v", field, bad, claim)
				}
			}
			// A network is looked up by name and a container's name is shown:
			// neither is refused for its bytes, and neither reaches a key.
			claim, err := r.alloc.Acquire(t.Context(), owner("0002"), bad, nic.Request{Interface: "eth0", Network: bad})
			if err != nil || claim.Phase != nic.ClaimRefused {
				t.Errorf("network %q: got %s, %v; want a refused claim", bad, claim.Phase, err)
			}
			if err := r.alloc.Release(t.Context(), nic.ClaimID(bad), 1); err != nil {
				t.Errorf("claim %q: got %v; want nothing done", bad, err)
			}
			if _, err := r.alloc.Claim(t.Context(), nic.ClaimID(bad)); err == nil {
				t.Errorf("claim %q was found", bad)
			}
		}
		records, _, err := r.store.List(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			if strings.Contains(rec.Key, "..") || strings.Contains(rec.Key, "//") || strings.Contains(rec.Key, "\x00") {
				t.Errorf("a hostile string became the key %q", rec.Key)
			}
		}
	})
}

// A report that no node has so many NICs for is refused before a record is read.
func TestAReportOfTooManyNICs(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		many := make([]nic.Observed, 20_001)
		for i := range many {
			many[i].NIC = nic.ID(fmt.Sprintf("nic-%016x", i))
		}
		if err := r.alloc.Report(t.Context(), "nobody", nic.NodeReport{NICs: many}); !errors.Is(err, allocator.ErrInvalid) || !strings.Contains(err.Error(), "of 20001 NICs, at most 20000") {
			t.Errorf("of a node that is not there: %v", err)
		}
		if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: many[1:]}); err != nil {
			t.Errorf("one less: %v", err)
		}
	})
}
