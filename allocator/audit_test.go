package allocator_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// count is the node's answer to every question: what it has.
type count func() nic.Census

// counted is a census that changes.
type counted struct {
	mu  sync.Mutex
	now nic.Census
}

func (c *counted) set(do func(*nic.Census)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do(&c.now)
}

func (c *counted) get() nic.Census {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// answers has the node vm1 answer with a census whenever it is asked, until the
// returned function is called. Its NICs are those that it holds, so far as the
// census does not say.
func (r *rig) answers(census count) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	alloc := r.alloc
	go func() {
		defer close(done)
		for {
			_, now, err := alloc.Wanted(ctx, "vm1", r.node.Session)
			if err == nil {
				c := census()
				c.Revision = now
				err = alloc.Report(ctx, "vm1", nic.NodeReport{Session: r.node.Session, Census: &c})
			}
			if err == nil {
				_, err = alloc.WaitChange(ctx, "vm1", now)
			}
			if err != nil {
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// bound is a claim whose NIC is in its running container.
func (r *rig) bound(name, network string) nic.Claim {
	r.t.Helper()
	claim := r.acquire(name, network)
	claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
	r.report(claim, nic.ObservedIn, true)
	return r.wants(claim.ID, nic.ClaimBound, time.Second)
}

// allOf is a census without anything amiss.
func allOf(claims ...nic.Claim) count {
	return func() (c nic.Census) {
		for _, claim := range claims {
			c.NICs = append(c.NICs, claim.NIC)
			c.Containers = append(c.Containers, claim.Owner.Sandbox)
		}
		return c
	}
}

// look is what an audit finds; what it is to mend it has to.
func (r *rig) look(fix bool) []api.Finding {
	r.t.Helper()
	audit, err := r.alloc.Audit(r.t.Context(), fix)
	if err != nil {
		r.t.Fatalf("audit: %v", err)
	}
	for _, f := range audit.Findings {
		if f.Error != "" {
			r.t.Errorf("not mended: %+v", f)
		}
	}
	return audit.Findings
}

// faultless wants that an audit finds nothing but nodes that are silent.
func (r *rig) faultless(fix bool) {
	r.t.Helper()
	for _, f := range r.look(fix) {
		if f.Kind != api.FindingNodeSilent {
			r.t.Errorf("the audit finds %+v", f)
		}
	}
}

// audit wants just these kinds of finding, in any order, and returns them.
func (r *rig) audit(fix bool, kinds ...api.FindingKind) []api.Finding {
	r.t.Helper()
	found := r.look(fix)
	var got []api.FindingKind
	for _, f := range found {
		got = append(got, f.Kind)
	}
	slices.Sort(got)
	slices.Sort(kinds)
	if !slices.Equal(got, kinds) {
		r.t.Errorf("the audit finds %+v; want %v", found, kinds)
	}
	return found
}

// drop removes records by hand.
func (r *rig) drop(keys ...string) {
	r.t.Helper()
	for _, key := range keys {
		record, err := r.store.Get(r.t.Context(), key)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.store.Commit(r.t.Context(), store.Delete(key, record.Rev)); err != nil {
			r.t.Fatal(err)
		}
	}
	synctest.Wait()
}

// plant makes a NIC with our tag that no record knows, on an instance or none.
func (r *rig) plant(instance nic.InstanceID) nic.ID {
	r.t.Helper()
	id := nic.NewID()
	if _, err := r.cloud.Create(r.t.Context(), nic.Spec{NIC: id, Network: "web", MAC: nic.NewMAC()}); err != nil {
		r.t.Fatal(err)
	}
	if instance == "" {
		return id
	}
	if _, err := r.cloud.Attach(r.t.Context(), id, nic.Place{Instance: instance}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// effects are how often the cloud was changed, by op.
func (r *rig) effects() map[string]int {
	n := map[string]int{}
	for op, c := range r.cloud.Counts() {
		if c.Effects > 0 {
			n[op] = c.Effects
		}
	}
	return n
}

func TestAuditOfWhatIsRightFindsNothing(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		web, db := r.bound("a001", "web"), r.bound("a002", "lab")
		defer r.answers(allOf(web, db))()
		before := r.effects()
		for range 3 {
			r.audit(true)
		}
		if now := r.effects(); !maps.Equal(before, now) {
			t.Errorf("the cloud was changed: %v, then %v", before, now)
		}
	})
}

// A harm is one way to break things by hand.
type harm struct {
	harm func(r *rig, web nic.Claim, census *counted)
	kind api.FindingKind
	also []api.FindingKind
	// left are the kinds that a fix does not mend.
	left []api.FindingKind
	// then is what must be so when all is mended; the claim is bound anyway
	// unless it is gone.
	then func(r *rig, web nic.Claim)
	gone bool
}

// harms are those at the provider and on the node, and recordHarms those in the
// store.
func harms() map[string]harm {
	return map[string]harm{
		"planted at the provider": {
			harm: func(r *rig, _ nic.Claim, _ *counted) { r.plant("") },
			kind: api.FindingUnrecorded,
			then: func(r *rig, web nic.Claim) { r.onlyInCloud(web.NIC) },
		},
		"planted into a node": {
			harm: func(r *rig, _ nic.Claim, _ *counted) {
				id := r.plant("vm1")
				r.cleanWhenTold(id)
			},
			kind: api.FindingUnrecorded,
			then: func(r *rig, web nic.Claim) { r.onlyInCloud(web.NIC) },
		},
		"planted into a machine that is no node": {
			harm: func(r *rig, _ nic.Claim, _ *counted) { r.plant("other") },
			kind: api.FindingUnrecorded, left: []api.FindingKind{api.FindingUnrecorded},
		},
		"unplugged by hand": {
			harm: func(r *rig, web nic.Claim, _ *counted) {
				if err := r.cloud.Detach(r.t.Context(), web.NIC, "vm1"); err != nil {
					r.t.Fatal(err)
				}
			},
			kind: api.FindingNotAtProvider,
			then: func(r *rig, web nic.Claim) { r.onlyInCloud(web.NIC) },
		},
		"deleted by hand": {
			harm: func(r *rig, web nic.Claim, _ *counted) {
				err := errors.Join(r.cloud.Detach(r.t.Context(), web.NIC, "vm1"), r.cloud.Delete(r.t.Context(), web.NIC))
				if err != nil {
					r.t.Fatal(err)
				}
			},
			kind: api.FindingNotAtProvider,
			then: func(r *rig, web nic.Claim) { r.onlyInCloud(web.NIC) },
		},
		"gone from the node": {
			harm: func(r *rig, web nic.Claim, census *counted) {
				census.set(func(c *nic.Census) { c.NICs = nil })
				r.madeWhenTold(web.NIC, func() { census.set(func(c *nic.Census) { c.NICs = []nic.ID{web.NIC} }) })
			},
			kind: api.FindingNotOnNode,
			then: func(r *rig, _ nic.Claim) {
				wanted, _, err := r.alloc.Wanted(r.t.Context(), "vm1", 0)
				if err != nil || len(wanted) != 1 || wanted[0].Again == 0 {
					r.t.Errorf("the node was not asked to look: %+v, %v", wanted, err)
				}
			},
		},
		"a veth of ours is left": {
			harm: func(r *rig, _ nic.Claim, census *counted) {
				id := nic.NewID()
				census.set(func(c *nic.Census) {
					c.Strays = []nic.Stray{{Link: "nf1", Kind: "veth", NIC: id, Bridge: "nf-x", MAC: nic.NewMAC()}}
				})
				r.cleanWhenTold(id, func() { census.set(func(c *nic.Census) { c.Strays = nil }) })
			},
			kind: api.FindingLeftOnNode,
		},
		"a veth with our name alone": {
			harm: func(_ *rig, _ nic.Claim, census *counted) {
				census.set(func(c *nic.Census) {
					c.Strays = []nic.Stray{{Link: "nf0123456789ab", Kind: "veth", MAC: nic.MAC{2}}}
				})
			},
			kind: api.FindingForeign, left: []api.FindingKind{api.FindingForeign},
		},
	}
}

func recordHarms() map[string]harm {
	return map[string]harm{
		"the NIC's record is removed": {
			harm: func(r *rig, web nic.Claim, _ *counted) { r.drop("nic/" + string(web.NIC)) },
			kind: api.FindingClaimWithoutNIC,
			then: func(r *rig, web nic.Claim) {
				if n, err := r.alloc.NIC(r.t.Context(), web.NIC); err != nil || n.Phase != nic.PhaseHeld || n.Holder != web.ID {
					r.t.Errorf("the record is %+v, %v", n, err)
				}
			},
		},
		"the claim's record is removed": {
			harm: func(r *rig, web nic.Claim, _ *counted) {
				r.drop("claim/" + string(web.ID))
				r.cleanWhenTold(web.NIC)
			},
			// Its owner, its MAC and two addresses are reserved.
			kind: api.FindingDangling, gone: true,
			also: []api.FindingKind{api.FindingDangling, api.FindingDangling, api.FindingDangling, api.FindingNICWithoutClaim},
			then: func(r *rig, _ nic.Claim) {
				r.onlyInCloud()
				if again := r.acquire("a001", "web"); again.Phase == nic.ClaimRefused {
					r.t.Errorf("the container gets no claim: %+v", again)
				}
			},
		},
		"the container is gone": {
			harm: func(r *rig, web nic.Claim, census *counted) {
				census.set(func(c *nic.Census) { c.Containers = nil })
				r.cleanWhenTold(web.NIC)
			},
			kind: api.FindingClaimWithoutContainer, gone: true,
			then: func(r *rig, _ nic.Claim) { r.onlyInCloud() },
		},
	}
}

// Each way to break things by hand is named, and mended but for what is not
// ours.
func TestAuditNamesAndMends(t *testing.T) {
	all := harms()
	maps.Copy(all, recordHarms())
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
				web := r.bound("a001", "web")
				census := &counted{now: allOf(web)()}
				defer r.answers(census.get)()
				c.harm(r, web, census)
				want := append(c.also, c.kind)
				r.audit(false, want...)
				r.audit(true, want...)
				r.wait(5 * time.Second)
				if c.then != nil {
					c.then(r, web)
				}
				if !c.gone {
					if now := r.claim(web.ID); now.Phase != nic.ClaimBound || now.NIC != web.NIC {
						t.Errorf("the claim is %+v", now)
					}
				}
				if name != "the claim's record is removed" { // it has a new NIC on its way
					r.audit(false, c.left...)
				}
			})
		})
	}
}

// onlyInCloud wants just these NICs at the provider.
func (r *rig) onlyInCloud(want ...nic.ID) {
	r.t.Helper()
	seen, err := r.cloud.List(r.t.Context())
	var got []nic.ID
	for _, s := range seen {
		if s.State == nic.StateAttached {
			got = append(got, s.NIC)
		}
	}
	if err != nil || !slices.Equal(got, want) || len(seen) != len(want) {
		r.t.Errorf("the provider has %+v, %v; want %v attached", seen, err, want)
	}
}

// cleanWhenTold has the node report a NIC clean as soon as it is told to take it
// out, and then does what follows from that.
func (r *rig) cleanWhenTold(id nic.ID, then ...func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	r.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil && !r.clean(ctx, id) {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
		for _, do := range then {
			do()
		}
	}()
}

// madeWhenTold has the node look at a NIC as soon as it is told to, and make it
// again.
func (r *rig) madeWhenTold(id nic.ID, made func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	r.t.Cleanup(func() { cancel(); <-done })
	alloc, session := r.alloc, r.node.Session
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			wanted, rev, err := alloc.Wanted(ctx, "vm1", session)
			if slices.ContainsFunc(wanted, func(w nic.Wanted) bool { return w.NIC == id && w.Again > 0 }) {
				made()
				return
			}
			if err == nil {
				_, err = alloc.WaitChange(ctx, "vm1", rev)
			}
			if err != nil {
				return
			}
		}
	}()
}

// clean reports the NIC clean if the node is told to take it out.
func (r *rig) clean(ctx context.Context, id nic.ID) bool {
	wanted, _, err := r.alloc.Wanted(ctx, "vm1", 0)
	at := slices.IndexFunc(wanted, func(w nic.Wanted) bool { return w.NIC == id && w.Gone })
	if err != nil || at < 0 {
		return false
	}
	w := wanted[at]
	return nil == r.alloc.Report(ctx, "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
		NIC: id, Claim: w.Claim, Epoch: w.Epoch, State: nic.ObservedClean,
	}}})
}

// Who does not answer is told, and nothing is concluded from the silence.
func TestAuditTellsWhoIsSilent(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.bound("a001", "web")
		r.plant("")
		r.cloud.Fail(fake.OpList, provider.ErrUnknown)
		r.audit(true, api.FindingProviderUnreachable, api.FindingNodeSilent)
		nodes, err := r.alloc.Nodes(t.Context())
		if err != nil || len(nodes[0].Conditions) != 1 || nodes[0].Conditions[0].Reason != nic.ReasonUnreachable {
			t.Errorf("the node is shown as %+v, %v", nodes, err)
		}
		r.cloud.Fail(fake.OpGet, provider.ErrUnknown) // the second source
		r.audit(true, api.FindingProviderUnreachable, api.FindingNodeSilent)
		r.wait(2 * time.Minute)
		found := r.audit(false, api.FindingUnrecorded, api.FindingNodeSilent)
		if !strings.Contains(found[0].Message+found[1].Message, "nicferry node forget vm1") {
			t.Errorf("nobody is told how to go on: %+v", found)
		}
		nodes, err = r.alloc.Nodes(t.Context())
		if err != nil || nodes[0].Phase != nic.NodeSilent || len(nodes[0].Conditions) != 1 {
			t.Errorf("the node is shown as %+v, %v", nodes, err)
		}
	})
}

// A controller that does not lead compares, and mends nothing.
func TestOnlyTheLeaderMends(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.plant("")
		r.stop()
		if _, err := r.alloc.Audit(t.Context(), true); !errors.Is(err, allocator.ErrRefused) {
			t.Errorf("audit with fix by a controller that does not lead: %v", err)
		}
		r.start()
	})
}

// What somebody has plugged into another node is unplugged there, and then
// plugged in where it belongs.
func TestAuditUnplugsElsewhere(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		if _, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{}); err != nil {
			t.Fatal(err)
		}
		web := r.bound("a001", "web")
		defer r.answers(allOf(web))()
		_, attach := r.cloud.Attach(t.Context(), web.NIC, nic.Place{Instance: "vm2"})
		if !errors.Is(attach, provider.ErrElsewhere) {
			t.Fatalf("the fake has it twice: %v", attach)
		}
		if err := r.cloud.Detach(t.Context(), web.NIC, "vm1"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.cloud.Attach(t.Context(), web.NIC, nic.Place{Instance: "vm2"}); err != nil {
			t.Fatal(err)
		}
		r.audit(true, api.FindingNotAtProvider, api.FindingNodeSilent) // vm2 has no agent here
		r.audit(true, api.FindingNotAtProvider, api.FindingNodeSilent)
		r.audit(false, api.FindingNodeSilent)
		r.onlyInCloud(web.NIC)
	})
}
