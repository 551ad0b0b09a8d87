package invariant_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	nicA, claimA = nic.ID("nic-000000000000000a"), nic.ClaimID("clm-000000000000000a")
	nicB, claimB = nic.ID("nic-000000000000000b"), nic.ClaimID("clm-000000000000000b")
)

var macA, macB = nic.MAC{0xe2, 0x4e, 0, 0, 0, 10}, nic.MAC{0xe2, 0x4e, 0, 0, 0, 11}

// sound is a world in which all is well: A runs on vm1, B on vm2.
func sound() *invariant.World {
	w := &invariant.World{
		Now: now,
		Records: invariant.Records{
			Owners: map[string]string{}, MACs: map[string]string{}, Addrs: map[string]string{}, On: map[string]string{},
		},
		Providers: map[string]invariant.Provider{"cloud": {}},
		Nodes:     map[string]invariant.Node{},
		Strangers: invariant.Strangers{
			NICs: map[string]string{"x-1": "as it was"}, NICsNow: map[string]string{"x-1": "as it was"},
			Hosts: map[string]string{"eth9": "up"}, HostsNow: map[string]string{"eth9": "up"},
		},
	}
	place(w, "vm1", nicA, claimA, macA, "10.0.0.10/24")
	place(w, "vm2", nicB, claimB, macB, "10.0.0.11/24")
	return w
}

func place(w *invariant.World, node string, id nic.ID, claimID nic.ClaimID, mac nic.MAC, addr string) {
	p := netip.MustParsePrefix(addr)
	claim := nic.Claim{
		ID: claimID, Phase: nic.ClaimBound, NIC: id, Container: "c-" + node, Since: now,
		Owner:    nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: "0a", Interface: "eth0"},
		Identity: nic.Identity{MAC: mac, Addrs: []netip.Prefix{p}, Space: "default"},
	}
	n := nic.NIC{
		ID: id, Provider: "cloud", Node: node, Instance: nic.InstanceID("i-" + node), Phase: nic.PhaseHeld, Placed: true,
		Holder: claimID, Spec: nic.Spec{NIC: id, MAC: mac}, Since: now,
	}
	n.Seen = nic.Seen{NIC: id, State: nic.StateAttached, MAC: mac, Place: nic.Place{Node: node, Instance: n.Instance}}
	w.Records.Claims = append(w.Records.Claims, claim)
	w.Records.NICs = append(w.Records.NICs, n)
	w.Records.Observed = append(w.Records.Observed, nic.Observed{NIC: id, Claim: claimID, State: nic.ObservedIn, Running: true})
	w.Records.Owners[claim.Owner.Key()] = string(claimID)
	w.Records.MACs[mac.String()] = string(claimID)
	w.Records.Addrs["default/"+p.Addr().String()] = string(claimID)
	w.Records.On[node+"/"+string(id)] = string(id)
	cloud := w.Providers["cloud"]
	cloud.NICs = append(cloud.NICs, n.Seen)
	w.Providers["cloud"] = cloud
	w.Nodes[node] = invariant.Node{Links: []invariant.Link{{Namespace: "0a", Name: "eth0", MAC: mac, Kind: "veth"}}}
}

// move puts A's claim on the move to a container on vm2, where its NIC is planned.
func move(w *invariant.World) {
	claim := &w.Records.Claims[0]
	to := claim.Owner
	to.Node, to.Sandbox = "vm2", "0d"
	claim.Phase, claim.Move = nic.ClaimMoving, &nic.ClaimMove{From: claim.Owner, To: to, At: "vm2", Target: "c", Was: nic.ClaimBound}
	n := &w.Records.NICs[0]
	delete(w.Records.On, "vm1/"+string(n.ID))
	n.Phase, n.Node, n.Instance = nic.PhasePlanned, "vm2", "i-vm2"
	n.Seen.State, n.Seen.Place = nic.StateAvailable, nic.Place{}
	w.Records.On["vm2/"+string(n.ID)] = string(n.ID)
	w.Records.Owners[to.Key()] = string(claim.ID)
	cloud(w, func(p *invariant.Provider) { p.NICs[0] = n.Seen })
	link(w, "vm1")
}

func TestAClaimOnTheMoveIsWell(t *testing.T) {
	w := sound()
	move(w)
	if found := invariant.Check(*w); len(found) > 0 {
		t.Error(invariant.Error(found))
	}
}

// cloud changes what the provider says.
func cloud(w *invariant.World, change func(*invariant.Provider)) {
	p := w.Providers["cloud"]
	change(&p)
	w.Providers["cloud"] = p
}

func link(w *invariant.World, node string, l ...invariant.Link) {
	n := w.Nodes[node]
	n.Links = l
	w.Nodes[node] = n
}

// spareA leaves A's NIC in reserve, without moving it out of the container.
func spareA(w *invariant.World) {
	claim := w.Records.Claims[0]
	w.Records.Claims = w.Records.Claims[1:]
	delete(w.Records.Owners, claim.Owner.Key())
	delete(w.Records.Addrs, "default/10.0.0.10")
	w.Records.MACs[macA.String()] = string(nicA)
	w.Records.NICs[0].Phase, w.Records.NICs[0].Holder = nic.PhaseSpare, ""
}

func TestASpareIsWell(t *testing.T) {
	w := sound()
	spareA(w)
	link(w, "vm1", invariant.Link{Name: "v0", MAC: macA, Kind: "veth"})
	if found := invariant.Check(*w); len(found) > 0 {
		t.Error(invariant.Error(found))
	}
}

// revoke takes vm1's trust away, an hour ago.
func revoke(w *invariant.World) {
	w.Records.Nodes = []nic.Node{{Name: "vm1", Phase: nic.NodeRevoked, Revoked: now.Add(-time.Hour)}, {Name: "vm2", Phase: nic.NodeReady}}
}

// A node that is revoked, and its claim that says so, are well; and so is a claim
// that has moved on while its NIC is on the way home.
func TestARevokedNodeAndAMovedClaimAreWell(t *testing.T) {
	w := sound()
	revoke(w)
	w.Records.Claims[0].Conditions = []nic.Condition{{Reason: nic.ReasonNodeRevoked, Message: "m", Since: now}}
	w.Records.NICs[1].Phase, w.Records.Claims[1].Phase = nic.PhaseReturning, nic.ClaimPending
	delete(w.Records.Owners, w.Records.Claims[1].Owner.Key())
	w.Records.Claims[1].Owner.Node = "vm3"
	w.Records.Owners[w.Records.Claims[1].Owner.Key()] = string(claimB)
	if found := invariant.Check(*w); len(found) > 0 {
		t.Error(invariant.Error(found))
	}
}

func TestNothingIsFoundWhereAllIsWell(t *testing.T) {
	if found := invariant.Check(*sound()); len(found) > 0 {
		t.Error(invariant.Error(found))
	}
	if err := invariant.Error(nil); err != nil {
		t.Error(err)
	}
	if found := invariant.Check(invariant.World{Now: now}); len(found) > 0 {
		t.Errorf("in an empty world: %v", found)
	}
}

func TestEachFaultIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		wrong   func(w *invariant.World)
		promise string
		says    string
	}{
		"two claims with an address": {func(w *invariant.World) {
			w.Records.Claims[1].Identity.Addrs = w.Records.Claims[0].Identity.Addrs
		}, "P1", "all have address default/10.0.0.10"},
		"two claims with a MAC":           {func(w *invariant.World) { w.Records.Claims[1].Identity.MAC = macA }, "P1", "all have MAC e2:4e:00:00:00:0a"},
		"two records with a MAC":          {func(w *invariant.World) { w.Records.NICs[1].Seen.MAC = macA }, "P1", "recorded with the same MAC"},
		"an address that is not reserved": {func(w *invariant.World) { delete(w.Records.Addrs, "default/10.0.0.10") }, "P1", `reserved for ""`},
		"a MAC that is another's":         {func(w *invariant.World) { w.Records.MACs[macA.String()] = string(claimB) }, "P1", "reserved for it, and it has it not"},
		"an address that leaked":          {func(w *invariant.World) { w.Records.Addrs["default/10.0.0.99"] = "clm-00000000000000ff" }, "P1", "10.0.0.99 is reserved for it"},
		"an owner of nothing":             {func(w *invariant.World) { w.Records.Owners["vm1/container/ff/eth0"] = "clm-00000000000000ff" }, "P1", "is indexed as the claim"},
		"an owner with another's claim":   {func(w *invariant.World) { w.Records.Claims[0].Owner.Sandbox = "0c" }, "P1", "is not the claim of its owner"},
		"a MAC twice at the provider": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.NICs[1].MAC = macA })
		}, "P1", "have the same MAC"},
		"a MAC twice on a node": {func(w *invariant.World) {
			link(w, "vm1", append(w.Nodes["vm1"].Links, invariant.Link{Name: "v0", MAC: macA, Kind: "macvlan"})...)
		}, "P1", "more than one interface"},
		"a NIC without a record": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.NICs = append(p.NICs, nic.Seen{NIC: "nic-00000000000000ff"}) })
		}, "P2", "has no record"},
		"a NIC that nobody holds":         {func(w *invariant.World) { w.Records.NICs[0].Holder = "" }, "P2", "held by nobody"},
		"a NIC for a claim without it":    {func(w *invariant.World) { w.Records.NICs[0].Holder = claimB }, "P2", "does not have it"},
		"a NIC that its node is not told": {func(w *invariant.World) { delete(w.Records.On, "vm1/"+string(nicA)) }, "P2", "never told of it"},
		"a listed NIC without a record":   {func(w *invariant.World) { w.Records.On["vm1/nic-00000000000000ff"] = "nic-00000000000000ff" }, "P2", "is not there"},
		"a word without a record": {func(w *invariant.World) {
			w.Records.Observed = append(w.Records.Observed, nic.Observed{NIC: "nic-00000000000000ff"})
		}, "P2", "outlived"},
		"a stranger that changed": {func(w *invariant.World) { w.Strangers.NICsNow["x-1"] = "detached" }, "P3", "changed from as it was"},
		"a stranger that is gone": {func(w *invariant.World) { delete(w.Strangers.NICsNow, "x-1") }, "P3", "gone"},
		"a held NIC that is unplugged": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.NICs[0].State = nic.StateDetaching })
		}, "P4", "is held, and detaching at provider cloud"},
		"a held NIC that is absent": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.NICs = p.NICs[1:] })
		}, "P4", "is held, and absent"},
		"a running container without its NIC": {func(w *invariant.World) { link(w, "vm1") }, "P4", "is not in the running container"},
		"a stopped container with its NIC": {func(w *invariant.World) {
			w.Records.Claims[0].StoppedAt = now.Add(-time.Hour)
		}, "P5", "still in a namespace"},
		"a spare in a namespace":          {func(w *invariant.World) { spareA(w) }, "P5", "is spare, and still in a namespace"},
		"a spare's MAC that is anybody's": {func(w *invariant.World) { spareA(w); delete(w.Records.MACs, macA.String()) }, "P1", "in reserve with MAC"},
		"a spare that is unplugged": {func(w *invariant.World) {
			spareA(w)
			cloud(w, func(p *invariant.Provider) { p.NICs[0].State = nic.StateAvailable })
		}, "P4", "is spare, and available at provider cloud"},
		"a claim without a NIC":              {func(w *invariant.World) { w.Records.Claims[0].NIC = "" }, "P6", "has no NIC"},
		"a claim with a NIC of no record":    {func(w *invariant.World) { w.Records.Claims[0].NIC = "nic-00000000000000ff" }, "P6", "without a record"},
		"a bound claim and a NIC on its way": {func(w *invariant.World) { w.Records.NICs[0].Phase = nic.PhaseReturning }, "P6", "is bound and its NIC returning"},
		"a NIC on another node than its claim": {func(w *invariant.World) {
			w.Records.NICs[0].Node = "vm2"
		}, "P6", "its NIC of node vm2"},
		"a NIC on another instance": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.NICs[0].Place.Instance = "i-vm2" })
		}, "P6", "belongs on i-vm1"},
		"an interface of ours that nobody knows": {func(w *invariant.World) {
			link(w, "vm1", append(w.Nodes["vm1"].Links, invariant.Link{Name: "v9", MAC: nic.MAC{0xe2, 0x4e, 9}})...)
		}, "P8", "no record"},
		"a host that changed":       {func(w *invariant.World) { w.Strangers.HostsNow["eth9"] = "down" }, "P8", "changed from up"},
		"something new on the host": {func(w *invariant.World) { w.Strangers.HostsNow["eth10"] = "up" }, "P8", "is new on the host"},
		"a MAC on two nodes": {func(w *invariant.World) {
			link(w, "vm2", append(w.Nodes["vm2"].Links, invariant.Link{Name: "v0", MAC: macA, Kind: "veth"})...)
		}, "P1", "on the nodes vm1 and vm2"},
		"a moving claim without a move": {func(w *invariant.World) { w.Records.Claims[0].Phase = nic.ClaimMoving }, "P6", "is moving, with the move"},
		"a bound claim with a move":     {func(w *invariant.World) { move(w); w.Records.Claims[0].Phase = nic.ClaimBound }, "P6", "is bound, with the move"},
		"a moving claim's NIC on a third node": {func(w *invariant.World) {
			move(w)
			w.Records.NICs[0].Node = "vm3"
		}, "P6", "its NIC of node vm3"},
		"an index of a container that nothing moves to": {func(w *invariant.World) {
			move(w)
			w.Records.Claims[0].Move.To.Sandbox = "0e"
		}, "P1", "is indexed as the claim"},
		"a wait without a name": {func(w *invariant.World) {
			w.Records.NICs[0].Phase, w.Records.NICs[0].Since = nic.PhaseRetiring, now.Add(-time.Hour)
		}, "P9", "does not say what it waits for"},
		"a plan without an end": {func(w *invariant.World) {
			w.Records.NICs[0].Phase, w.Records.NICs[0].Since = nic.PhasePlanned, now.Add(-time.Hour)
		}, "P9", "is given up after 5m0s"},
		"a refusal without a reason": {func(w *invariant.World) { w.Records.Claims[0].Phase = nic.ClaimRefused }, "P9", "does not say why"},
		"a claim that is forgotten": {func(w *invariant.World) {
			c := &w.Records.Claims[0]
			c.Phase, c.NIC, c.Since = nic.ClaimPending, "", now.Add(-time.Hour)
		}, "P9", "no NIC is planned"},
		"a condition that says nothing": {func(w *invariant.World) {
			w.Records.Claims[0].Conditions = []nic.Condition{{Reason: nic.ReasonExhausted}}
		}, "P9", "without a reason, a message or a beginning"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFinding(t, c.wrong, c.promise, c.says)
		})
	}
}

// wantFinding wants one in a sound world that was made wrong.
func wantFinding(t *testing.T, wrong func(w *invariant.World), promise, says string) {
	t.Helper()
	w := sound()
	wrong(w)
	found := invariant.Check(*w)
	for _, f := range found {
		if f.Promise == promise && strings.Contains(f.Problem, says) && len(f.IDs) > 0 {
			return
		}
	}
	t.Errorf("want %s with %q, found %v", promise, says, found)
}

func TestEachFaultOfRevokedNodesIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		wrong   func(w *invariant.World)
		promise string
		says    string
	}{
		"a node in no phase": {func(w *invariant.World) { w.Records.Nodes = []nic.Node{{Name: "vm1", Phase: "lazy"}} }, "P9", `in phase "lazy"`},
		"a ready node that is revoked": {func(w *invariant.World) {
			w.Records.Nodes = []nic.Node{{Name: "vm1", Phase: nic.NodeReady, Revoked: now}}
		}, "P9", "in phase ready, revoked at"},
		"a claim that does not say its node is revoked": {func(w *invariant.World) { revoke(w) }, "P9", "is of node vm1, which is revoked for 1h"},
		"a NIC that is made for a revoked node": {func(w *invariant.World) {
			revoke(w)
			w.Records.NICs[0].Phase = nic.PhasePlanned
		}, "P9", "is being made for node vm1"},
	} {
		t.Run(name, func(t *testing.T) { wantFinding(t, c.wrong, c.promise, c.says) })
	}
}

// What moves between two readings is not found: two sources cannot be read at
// one moment.
func TestWhatMovesIsNotFound(t *testing.T) {
	for name, move := range map[string]func(w *invariant.World){
		"deleted meanwhile": func(w *invariant.World) {
			gone := nic.Seen{NIC: "nic-00000000000000ff", State: nic.StateDeleting}
			cloud(w, func(p *invariant.Provider) { p.NICs = append(p.NICs, gone) })
			w.Before.NICs = append(w.Before.NICs, nic.NIC{ID: gone.NIC})
		},
		"plugged in meanwhile": func(w *invariant.World) {
			w.Before.NICs[0].Phase = nic.PhasePlanned
			cloud(w, func(p *invariant.Provider) { p.NICs[0].State = nic.StateAttaching })
		},
		"ferried in meanwhile": func(w *invariant.World) {
			w.Before.Claims[0].Phase = nic.ClaimReady
			link(w, "vm1", invariant.Link{Name: "v0", MAC: macA, Kind: "veth"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, earlier := sound(), sound().Records
			w.Before = &earlier
			move(w)
			if found := invariant.Check(*w); len(found) > 0 {
				t.Error(invariant.Error(found))
			}
		})
	}
}

func TestFindingsReadWell(t *testing.T) {
	f := invariant.Finding{Promise: invariant.P2, IDs: []string{"nic-1"}, Problem: "has no record"}
	if got := fmt.Sprint(f); got != "P2 nic-1: has no record" {
		t.Errorf("got %q", got)
	}
	if err := invariant.Error([]invariant.Finding{f}); err == nil || !strings.Contains(err.Error(), "\n  P2 nic-1: has no record") {
		t.Errorf("got %v", err)
	}
}
