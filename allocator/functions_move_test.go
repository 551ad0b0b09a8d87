package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A vfMove is that of a claim with a VF from vm1 to vm2, whose agents do what is wanted
// of them.
type vfMove struct {
	*rig
	nodes  map[string]nic.Node
	frozen map[string]bool // nodes that do not say clean
	move   nic.MoveID
	was    nic.Claim
}

// obey has the nodes do once what is wanted of them, and returns what that was.
func (m *vfMove) obey() map[string]nic.Wanted {
	m.t.Helper()
	told := map[string]nic.Wanted{}
	for name, node := range m.nodes {
		wanted, _, err := m.alloc.Wanted(m.t.Context(), name, node.Session)
		if err != nil {
			m.t.Fatal(err)
		}
		report := nic.NodeReport{Session: node.Session}
		for _, w := range wanted {
			o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, State: nic.ObservedIn, Running: true}
			if w.NIC == "" || w.Gone && m.frozen[name] {
				continue
			}
			told[name] = w
			switch {
			case w.Gone:
				o.State = nic.ObservedClean
			case w.Device.VF.Was.Boot != node.Inventory.Boot:
				o.State, o.Former = nic.ObservedWaiting, []nic.VFWas{{Boot: node.Inventory.Boot}}
			}
			report.NICs = append(report.NICs, o)
		}
		if err := m.alloc.Report(m.t.Context(), name, report); err != nil {
			m.t.Fatal(err)
		}
	}
	m.wait(200 * time.Millisecond)
	return told
}

func (m *vfMove) until(what string, is func() bool) {
	m.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); m.obey() {
		if time.Now().After(end) {
			m.t.Fatalf("not %s: %+v", what, m.claim(m.was.ID))
		}
	}
}

func (m *vfMove) in(node string) func() bool {
	return func() bool {
		at, err := m.alloc.Whereabouts(m.t.Context(), []nic.ClaimID{m.was.ID})
		return err == nil && at[0].Node == node && at[0].Phase == nic.PhaseHeld && at[0].Seen == nic.ObservedIn
	}
}

// bring has the claim brought from one node to the other, which is told of nothing
// before the first is clean.
func (m *vfMove) bring(from, to string) {
	m.t.Helper()
	m.frozen[from] = true
	if err := m.alloc.BringNICs(m.t.Context(), m.move, []nic.ClaimID{m.was.ID}, to); err != nil {
		m.t.Fatal(err)
	}
	for range 50 {
		if told := m.obey(); told[to].NIC != "" {
			m.t.Fatalf("%s is told of %+v, and %s has not said that it is clean", to, told[to], from)
		}
	}
	m.frozen[from] = false
	m.until("in on "+to, m.in(to))
	d := m.obey()[to].Device
	if d.Kind != nic.SRIOV || d.VF.Set.MAC != m.was.Identity.MAC || d.VF.Was.Boot != m.nodes[to].Inventory.Boot {
		m.t.Errorf("%s is told of %+v; want a VF with MAC %s", to, d, m.was.Identity.MAC)
	}
}

// planned wants the move to be possible, and nothing to be set aside for it.
func (m *vfMove) planned() {
	m.t.Helper()
	records := func() int {
		all, _, err := m.store.List(m.t.Context(), "", "", 0)
		if err != nil {
			m.t.Fatal(err)
		}
		return len(all)
	}
	before := records()
	room, err := m.alloc.MoveRoom(m.t.Context(), []nic.ClaimID{m.was.ID}, "vm2")
	if err != nil || len(room.Refusals) > 0 || records() != before {
		m.t.Errorf("room: %+v, %v; %d records, before %d", room, err, records(), before)
	}
}

// S0-12, F40: a claim with a VF moves to a VF of the other node, with its MAC. That is
// planned without anything being set aside for it, and the other node is told of the VF
// only when the one that it leaves has said that it is clean. The way back is the same.
func TestAClaimMovesFromVFToVF(t *testing.T) {
	t.Parallel()
	vfs(t, 1, func(t *testing.T, r *rig) {
		there, err := r.alloc.Hello(t.Context(), "vm2", nic.Inventory{Boot: "c1", Cards: twoCards(1)})
		if err != nil {
			t.Fatal(err)
		}
		m := vfMove{rig: r, nodes: map[string]nic.Node{"vm1": r.node, "vm2": there}, frozen: map[string]bool{}, move: nic.NewMoveID(), was: r.acquire("a001", "strict")}
		m.until("in on vm1", m.in("vm1"))
		m.was = r.claim(m.was.ID)
		m.planned()
		ids := []nic.ClaimID{m.was.ID}
		if _, err := r.alloc.BeginMove(t.Context(), m.move, ids, "vm2", "web-b"); err != nil {
			t.Fatal(err)
		}
		if err := r.alloc.AimMove(t.Context(), m.move, ids, sandbox("b001")); err != nil {
			t.Fatal(err)
		}
		m.bring("vm1", "vm2")
		m.bring("vm2", "vm1")
		m.bring("vm1", "vm2")
		if err := r.alloc.FinishMove(t.Context(), m.move, ids); err != nil {
			t.Fatal(err)
		}
		m.until("bound", func() bool { return r.claim(m.was.ID).Phase == nic.ClaimBound })
		now := r.claim(m.was.ID)
		if now.Identity.MAC != m.was.Identity.MAC || now.Owner.Node != "vm2" {
			t.Errorf("moved, it is %+v, and was %+v", now, m.was)
		}
		if err := r.alloc.Release(t.Context(), now.ID, now.Epoch); err != nil {
			t.Fatal(err)
		}
		m.until("gone", func() bool { return r.claim(m.was.ID).ID == "" })
		if err := r.alloc.ForgetMoved(t.Context(), "vm1", sandbox("a001")); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.emptyStore()
	})
}
