package allocator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A distrust remembers whose certificates are void.
type distrust struct {
	mu    sync.Mutex
	knows map[string]bool
	join  uint64 // the node's last
	void  map[string]int
	err   error
	// meanwhile is what happens before they are void; optional.
	meanwhile func()
}

func (d *distrust) Revoke(_ context.Context, node string) (uint64, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.meanwhile != nil {
		d.meanwhile()
	}
	if d.err != nil {
		return 0, false, d.err
	}
	d.void[node]++
	return d.join, d.knows[node], nil
}

// trusting starts the rig's allocator anew, over an authority that knows vm1.
func (r *rig) trusting() *distrust {
	r.stop()
	d := &distrust{knows: map[string]bool{"vm1": true}, void: map[string]int{}}
	r.startWith(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks, Trust: d,
	})
	return d
}

// A node that is revoked is not heard any more, and its containers keep what they
// have; once it has joined anew all is as it was.
func TestRevokeNode(t *testing.T) {
	bubble(t, fake.Options{Latency: fake.Latency{Create: time.Second}}, func(t *testing.T, r *rig) {
		d := r.trusting()
		web := r.bound("a001", "web")
		dry, err := r.alloc.RevokeNode(t.Context(), "vm1", false, true)
		if err != nil || len(dry.Kept) != 1 || len(dry.KeptNICs) != 1 || len(dry.Claims)+len(dry.NICs) > 0 || d.void["vm1"] > 0 {
			t.Fatalf("a dry run says %+v, %v", dry, err)
		}
		if node, _ := r.alloc.Node(t.Context(), "vm1"); node.Phase != nic.NodeReady {
			t.Errorf("after a dry run the node is %+v", node)
		}
		waits := r.acquire("a002", "late") // which is being made
		for range 2 {
			if _, err := r.alloc.RevokeNode(t.Context(), "vm1", false, false); err != nil {
				t.Fatal(err)
			}
		}
		if d.void["vm1"] == 0 {
			t.Error("its certificates are good still")
		}
		r.refusedAll(web)
		r.wait(ages())
		r.holds()
		if now := r.claim(web.ID); now.Phase != nic.ClaimBound || now.NIC != web.NIC || len(now.Conditions) != 1 || now.Conditions[0].Reason != nic.ReasonNodeRevoked {
			t.Errorf("its claim is %+v", now)
		}
		if now := r.claim(waits.ID); now.Phase != nic.ClaimPending || now.NIC != "" || len(now.Conditions) != 1 || now.Conditions[0].Reason != nic.ReasonNodeRevoked {
			t.Errorf("the claim whose NIC was not there yet is %+v", now)
		}
		node, err := r.alloc.Node(t.Context(), "vm1")
		if err != nil || node.Phase != nic.NodeRevoked || node.Conditions[0].Reason != nic.ReasonNodeRevoked || !strings.Contains(node.Conditions[0].Message, "nicferry token create --node vm1, and nicferry-agent join --force there") {
			t.Errorf("the node is %+v, %v", node, err)
		}
		if found := r.audit(false, api.FindingNodeSilent); !strings.HasPrefix(found[0].Message, "it is revoked since ") {
			t.Errorf("the audit says %q", found[0].Message)
		}

		if r.node, err = r.alloc.Hello(api.WithJoin(t.Context(), 1), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatalf("hello after a new join: %v", err)
		}
		if node, err := r.alloc.Node(t.Context(), "vm1"); err != nil || node.Phase != nic.NodeReady || !node.Revoked.IsZero() || len(node.Conditions) > 0 {
			t.Errorf("back, the node is %+v, %v", node, err)
		}
		if now := r.claim(web.ID); now.Phase != nic.ClaimBound || now.NIC != web.NIC || len(now.Conditions) > 0 {
			t.Errorf("back, its claim is %+v", now)
		}
		r.acquire("a002", "late")
		r.wants(waits.ID, nic.ClaimReady, time.Minute)
		r.holds()
	})
}

// refusedAll wants whatever a revoked node says refused, with what to do.
func (r *rig) refusedAll(has nic.Claim) {
	r.t.Helper()
	_, acquireErr := r.alloc.Acquire(r.t.Context(), owner("a009"), "new", nic.Request{Interface: "eth0", Network: "web"})
	_, helloErr := r.alloc.Hello(api.WithJoin(r.t.Context(), 0), "vm1", nic.Inventory{Boot: "b1"})
	_, _, wantedErr := r.alloc.Wanted(r.t.Context(), "vm1", r.node.Session)
	_, watchErr := r.alloc.WaitChange(r.t.Context(), "vm1", 0)
	for what, err := range map[string]error{
		"acquire": acquireErr, "hello": helloErr, "wanted": wantedErr, "watch": watchErr,
		"release": r.alloc.Release(r.t.Context(), has.ID, has.Epoch),
		"report": r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
			NIC: has.NIC, Claim: has.ID, Epoch: has.Epoch, State: nic.ObservedClean,
		}}}),
	} {
		if !errors.Is(err, allocator.ErrRefused) || !strings.Contains(err.Error(), "nicferry token create --node vm1") {
			r.t.Errorf("%s of a revoked node: %v", what, err)
		}
	}
}

// A hello of the node's last join, which was let in before the revoke, does not undo it:
// only one of a join that came after does, also when it is there before the revoke ends.
func TestARevokeAgainstAHelloOnItsWay(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		d := r.trusting()
		hello := func(join uint64) error {
			_, err := r.alloc.Hello(api.WithJoin(t.Context(), join), "vm1", nic.Inventory{Boot: "b1"})
			return err
		}
		if err := hello(1); err != nil {
			t.Fatal(err)
		}
		d.join = 2
		for _, tc := range []struct {
			name    string
			comes   uint64
			revoked bool
		}{{"the last", 2, true}, {"the next", 3, false}} {
			d.meanwhile = func() {
				if err := hello(tc.comes); err != nil {
					t.Errorf("%s join's hello: %v", tc.name, err)
				}
			}
			if _, err := r.alloc.RevokeNode(t.Context(), "vm1", false, false); err != nil {
				t.Fatal(err)
			}
			node, err := r.alloc.Node(t.Context(), "vm1")
			if err != nil || node.Revoked.IsZero() == tc.revoked {
				t.Errorf("%s join's hello came before the revoke had ended: %+v, %v", tc.name, node, err)
			}
			if tc.revoked && !errors.Is(hello(tc.comes), allocator.ErrRefused) {
				t.Errorf("%s join's hello is taken again", tc.name)
			}
		}
	})
}

// With seize what a provider takes out by itself goes at once.
func TestRevokeNodeAndSeize(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.trusting()
		web := r.bound("a001", "web")
		dry, err := r.alloc.RevokeNode(t.Context(), "vm1", true, true)
		if err != nil || len(dry.Claims) != 1 || len(dry.NICs) != 1 || len(dry.Kept)+len(dry.KeptNICs) > 0 {
			t.Fatalf("a dry run says %+v, %v", dry, err)
		}
		r.wait(time.Minute)
		if now := r.claim(web.ID); now.Phase != nic.ClaimBound {
			t.Errorf("after a dry run the claim is %+v", now)
		}
		if _, err := r.alloc.RevokeNode(t.Context(), "vm1", true, false); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		if now := r.claim(web.ID); now.ID != "" {
			t.Errorf("the claim is %+v", now)
		}
		if seen, err := r.cloud.List(t.Context()); err != nil || len(seen) > 0 {
			t.Errorf("left at the provider: %+v, %v", seen, err)
		}
		if node, err := r.alloc.Node(t.Context(), "vm1"); err != nil || node.Phase != nic.NodeRevoked {
			t.Errorf("the node is %+v, %v", node, err)
		}
		r.holds()
	})
}

// What only the node could give back stays reserved, also with seize, until the node
// is forgotten.
func TestSeizeKeepsWhatTheNodeMade(t *testing.T) {
	made := func(_ nic.Spec, mac nic.MAC) nic.Device {
		return nic.Device{Kind: nic.Veth, MAC: mac, Bridge: nic.Bridge{Name: "br0"}}
	}
	bubble(t, fake.Options{Device: made}, func(t *testing.T, r *rig) {
		web := r.bound("a001", "web")
		verdict, err := r.alloc.RevokeNode(t.Context(), "vm1", true, false)
		if err != nil || len(verdict.Claims)+len(verdict.NICs) > 0 || len(verdict.Kept) != 1 || len(verdict.KeptNICs) != 1 {
			t.Fatalf("%+v, %v", verdict, err)
		}
		r.wait(time.Hour)
		r.holds()
		if now := r.claim(web.ID); now.Phase != nic.ClaimBound || now.NIC != web.NIC {
			t.Errorf("the claim is %+v", now)
		}
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
			t.Fatalf("forget it: %v", err)
		}
		r.wait(time.Minute)
		if now := r.claim(web.ID); now.ID != "" {
			t.Errorf("forgotten, the claim is %+v", now)
		}
	})
}

// A node without claims is removed; one with claims is not, and goes on.
func TestRemoveNode(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		d := r.trusting()
		web := r.bound("a001", "web")
		given, err := r.alloc.RemoveNode(t.Context(), "vm1", false)
		if !errors.Is(err, allocator.ErrRefused) || len(given.Claims) != 1 || !strings.Contains(err.Error(), `"a001"`) || !strings.Contains(err.Error(), "nicferry node forget vm1") {
			t.Errorf("with a claim: %+v, %v", given, err)
		}
		r.report(web, nic.ObservedIn, true) // it is served as before
		if d.void["vm1"] > 0 {
			t.Error("its certificates are void")
		}
		if err := r.alloc.Release(t.Context(), web.ID, web.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Second)
		r.report(web, nic.ObservedClean, false)
		r.wait(time.Minute)
		if _, err := r.alloc.RemoveNode(t.Context(), "vm1", true); err != nil || d.void["vm1"] > 0 {
			t.Errorf("dry run: %v", err)
		}
		if _, err := r.alloc.Node(t.Context(), "vm1"); err != nil {
			t.Errorf("after a dry run: %v", err)
		}
		if _, err := r.alloc.RemoveNode(t.Context(), "vm1", false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.alloc.Node(t.Context(), "vm1"); !errors.Is(err, allocator.ErrNotFound) || d.void["vm1"] == 0 {
			t.Errorf("removed it is there still: %v", err)
		}
		d.knows = nil
		if _, err := r.alloc.RemoveNode(t.Context(), "vm1", false); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
		r.wait(time.Hour)
		r.holds()
		records, _, err := r.store.List(t.Context(), "node/", "", 0)
		if err != nil || len(records) > 0 {
			t.Errorf("left: %+v, %v", records, err)
		}
	})
}

// An authority that fails leaves the node revoked, and the order may be repeated.
func TestRevokeGoesOnAfterItBrokeOff(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		d := r.trusting()
		web := r.bound("a001", "web")
		d.err = errors.New("disk full")
		if _, err := r.alloc.RevokeNode(t.Context(), "vm1", false, false); !errors.Is(err, d.err) {
			t.Errorf("it says %v", err)
		}
		r.refusedAll(web)
		d.err = nil
		if verdict, err := r.alloc.RevokeNode(t.Context(), "vm1", false, false); err != nil || len(verdict.Kept) != 1 || d.void["vm1"] != 1 {
			t.Errorf("again: %+v, %v", verdict, err)
		}
		if verdict, err := r.alloc.RevokeNode(t.Context(), "vm9", false, false); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("a node that nobody knows: %+v, %v", verdict, err)
		}
	})
}
