package allocator_test

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A trip is a move of claims from vm1 to vm2, whose agents do what is wanted of
// them.
type trip struct {
	*rig
	move     nic.MoveID
	second   string // a network for a second NIC
	claims   []nic.ClaimID
	sessions map[string]uint64
	runs     map[string]bool // sandboxes whose containers run
	mute     map[string]bool // nodes whose agents do nothing
	frozen   map[string]bool // nodes whose agents do not report clean
	last     map[nic.ID]nic.Wanted
	links    map[string]map[nic.MAC]invariant.Link // by node
}

// travels runs test with a container web that is bound on vm1, and another node.
func travels(t *testing.T, cloud fake.Options, test func(t *testing.T, tr *trip)) {
	t.Helper()
	if cloud.Travel == provider.Readdress {
		byAddress(t, cloud, nic.Cloud{Movable: true}, test)
		return
	}
	bubble(t, cloud, func(t *testing.T, r *rig) { test(t, onTheRoad(r, "web")) })
}

func onTheRoad(r *rig, network string) *trip {
	tr := &trip{
		rig: r, move: nic.NewMoveID(), second: "lab", sessions: map[string]uint64{"vm1": r.node.Session, "vm2": r.joinVM2().Session},
		runs: map[string]bool{sandbox("a001"): true}, mute: map[string]bool{}, frozen: map[string]bool{}, last: map[nic.ID]nic.Wanted{},
		links: map[string]map[nic.MAC]invariant.Link{"vm1": {}, "vm2": {}},
	}
	claim := r.acquire("a001", network)
	tr.claims = []nic.ClaimID{claim.ID}
	tr.until("bound", func() bool { return tr.now().Phase == nic.ClaimBound })
	return tr
}

// kinds of provider by how they travel, both of which each test is for.
func bothWays(t *testing.T, test func(t *testing.T, tr *trip)) {
	t.Helper()
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild, provider.Readdress} {
		t.Run(string(travel), func(t *testing.T) {
			travels(t, fake.Options{Travel: travel, Latency: fake.Latency{
				Create: 100 * time.Millisecond, Attach: time.Second, Detach: time.Second, Delete: 100 * time.Millisecond,
			}}, test)
		})
	}
}

func (tr *trip) now() nic.Claim { return tr.claim(tr.claims[0]) }

// obey has both agents do once what is wanted of them, and looks at everything.
func (tr *trip) obey() {
	tr.t.Helper()
	tr.obeyUnsound()
	tr.sound()
}

// obeyUnsound is obey where there is more in the cloud than ours.
func (tr *trip) obeyUnsound() {
	tr.t.Helper()
	for _, node := range slices.Sorted(maps.Keys(tr.sessions)) {
		if tr.mute[node] {
			continue
		}
		ctx := api.WithSession(tr.t.Context(), tr.sessions[node])
		wanted, _, err := tr.alloc.Wanted(ctx, node, tr.sessions[node])
		if err != nil {
			tr.t.Fatalf("what is wanted of %s: %v", node, err)
		}
		report := nic.NodeReport{Session: tr.sessions[node]}
		for _, w := range wanted {
			if w.NIC == "" {
				if w.Claim == tr.claims[0] && tr.now().Move != nil {
					tr.t.Errorf("%s is to release %+v", node, w)
				}
				continue
			}
			tr.last[w.NIC] = w
			said := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, State: nic.ObservedMade}
			said.Running = tr.runs[w.Owner.Sandbox]
			switch {
			case w.Gone && tr.frozen[node]:
				continue
			case w.Gone:
				said.State = nic.ObservedClean
				delete(tr.links[node], w.Device.MAC)
				report.NICs = append(report.NICs, said)
				continue
			case w.Device.Kind == nic.Found && !tr.plugged(w, node): // it is told ahead
				said.State = nic.ObservedWaiting
				report.NICs = append(report.NICs, said)
				continue
			case w.Claim != "" && said.Running:
				said.State = nic.ObservedIn
				said.Addrs = w.Layer3.Addrs
			}
			link := invariant.Link{Name: "v0", MAC: w.Device.MAC, Kind: "veth"}
			if said.State == nic.ObservedIn {
				link.Namespace = w.Owner.Sandbox
			}
			tr.links[node][w.Device.MAC] = link
			report.NICs = append(report.NICs, said)
		}
		if err := tr.alloc.Report(ctx, node, report); err != nil {
			tr.t.Fatalf("report of %s: %v", node, err)
		}
	}
	synctest.Wait()
}

// plugged says whether the card that a node was told of is there. What it was told
// may be of before its seat went to another card.
func (tr *trip) plugged(w nic.Wanted, node string) bool {
	tr.t.Helper()
	n, err := tr.alloc.NIC(tr.t.Context(), w.NIC)
	if err != nil {
		tr.t.Fatal(err)
	}
	id := cmp.Or(n.Carrier, w.NIC)
	all, err := tr.cloud.Get(tr.t.Context(), id)
	if err != nil {
		tr.t.Fatal(err)
	}
	return all[id].State == nic.StateAttached && all[id].Place.Node == node && all[id].Device.MAC == w.Device.MAC
}

// sound wants all that must always hold, of the cloud as well.
func (tr *trip) sound() {
	tr.t.Helper()
	records, err := allocator.ReadRecords(tr.t.Context(), tr.store)
	if err != nil {
		tr.t.Fatal(err)
	}
	all, err := tr.cloud.List(tr.t.Context())
	if err != nil {
		tr.t.Fatal(err)
	}
	synctest.Wait()
	again, err := allocator.ReadRecords(tr.t.Context(), tr.store)
	if err != nil {
		tr.t.Fatal(err)
	}
	world := invariant.World{
		Now: time.Now(), Records: again, Before: &records,
		Providers: map[string]invariant.Provider{"fake": {NICs: all, DrawsMACs: tr.cloud.Info().DrawsMACs, Public: publicOf(tr.cloud)}},
		Nodes:     map[string]invariant.Node{},
	}
	for node := range tr.sessions { // one that is forgotten is off
		var on []invariant.Link
		for _, link := range tr.links[node] {
			on = append(on, link)
		}
		world.Nodes[node] = invariant.Node{Links: on}
	}
	if err := invariant.Error(invariant.Check(world)); err != nil {
		tr.t.Error(err)
	}
}

// until has the agents work until all is as wanted.
func (tr *trip) until(what string, is func() bool) {
	tr.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); tr.wait(200 * time.Millisecond) {
		if time.Now().After(end) {
			at, err := tr.alloc.Whereabouts(tr.t.Context(), tr.claims)
			tr.t.Fatalf("not %s: %+v, %v; the claim is %+v", what, at, err, tr.now())
		}
		tr.obey()
	}
}

func (tr *trip) begin() {
	tr.t.Helper()
	claims, err := tr.alloc.BeginMove(tr.t.Context(), tr.move, tr.claims, "vm2", "web-b")
	if err != nil || len(claims) != len(tr.claims) || claims[0].Phase != nic.ClaimMoving {
		tr.t.Fatalf("begin: %+v, %v", claims, err)
	}
}

func (tr *trip) aim() {
	tr.t.Helper()
	if err := tr.alloc.AimMove(tr.t.Context(), tr.move, tr.claims, sandbox("b001")); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *trip) bring(node string) {
	tr.t.Helper()
	if err := tr.alloc.BringNICs(tr.t.Context(), tr.move, tr.claims, node); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *trip) at() nic.Whereabouts {
	tr.t.Helper()
	at, err := tr.alloc.Whereabouts(tr.t.Context(), tr.claims)
	if err != nil {
		tr.t.Fatal(err)
	}
	return at[0]
}

func (tr *trip) in(node string) func() bool {
	return func() bool {
		at := tr.at()
		return at.Node == node && at.Phase == nic.PhaseHeld && at.Seen == nic.ObservedIn && at.Running
	}
}

// stopAndStart is what the steps between do: the one container ends, the other
// begins.
func (tr *trip) stopAndStart() { tr.runs[sandbox("a001")], tr.runs[sandbox("b001")] = false, true }
func (tr *trip) goBack()       { tr.runs[sandbox("a001")], tr.runs[sandbox("b001")] = true, false }

func (tr *trip) finish() {
	tr.t.Helper()
	for range 2 { // the second time after a lost reply
		if err := tr.alloc.FinishMove(tr.t.Context(), tr.move, tr.claims); err != nil {
			tr.t.Fatal(err)
		}
	}
}

// sameIdentity wants the claim to have what it had.
func (tr *trip) sameIdentity(was nic.Claim) {
	tr.t.Helper()
	if now := tr.now(); now.Identity.MAC != was.Identity.MAC || !samePrefixes(now.Identity.Addrs, was.Identity.Addrs) {
		tr.t.Errorf("the identity is %+v, was %+v", now.Identity, was.Identity)
	}
}

// nothingLeft ends both containers and wants nothing left.
func (tr *trip) nothingLeft() {
	tr.t.Helper()
	claim := tr.now()
	if err := tr.alloc.Release(tr.t.Context(), claim.ID, claim.Epoch); err != nil {
		tr.t.Fatal(err)
	}
	tr.until("released", func() bool { return tr.now().ID == "" })
	if err := tr.alloc.ForgetMoved(tr.t.Context(), "vm1", sandbox("a001")); err != nil {
		tr.t.Fatal(err)
	}
	tr.wait(10 * time.Second)
	tr.empty()
}

func (tr *trip) travel() provider.Travel { return tr.cloud.Info().Travel }

// givenAway wants the former container to get nothing, and its agent's old word
// refused.
func (tr *trip) givenAway(was nic.Claim) {
	tr.t.Helper()
	ctx := api.WithSession(tr.t.Context(), tr.sessions["vm1"])
	got, err := tr.alloc.Acquire(ctx, was.Owner, was.Container, was.Request)
	if err != nil || got.Phase != nic.ClaimRefused || got.NIC != "" || got.Conditions[0].Reason != nic.ReasonMoved ||
		!strings.Contains(got.Conditions[0].Message, "web-b") {
		tr.t.Errorf("the former container asks anew: %+v, %v", got, err)
	}
	if err := tr.alloc.Release(ctx, was.ID, was.Epoch); !errors.Is(err, allocator.ErrStale) {
		tr.t.Errorf("the former container's agent releases: %v", err)
	}
}

func (tr *trip) park(why string) {
	tr.t.Helper()
	if err := tr.alloc.ParkMove(tr.t.Context(), tr.move, tr.claims, why); err != nil {
		tr.t.Fatal(err)
	}
	want, says := nic.ClaimMoving, 0
	if why != "" {
		want, says = nic.ClaimParked, 1
	}
	now := tr.now()
	if n := len(slices.DeleteFunc(now.Conditions, func(c nic.Condition) bool { return c.Reason != nic.ReasonMoveParked })); now.Phase != want || n != says {
		tr.t.Errorf("parked with %q the claim is %+v", why, now)
	}
}

func (tr *trip) leave() { tr.aim(); tr.stopAndStart(); tr.bring("vm2") }

func (tr *trip) cancel() {
	tr.t.Helper()
	if err := tr.alloc.CancelMove(tr.t.Context(), tr.move, tr.claims); err != nil {
		tr.t.Fatal(err)
	}
}
