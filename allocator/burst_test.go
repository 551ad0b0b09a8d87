package allocator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// F07: a machine has something at three device indexes that no list shows. One
// NIC is made, kept, and plugged in at the fourth.
func TestF07_AnIndexConflictKeepsTheNIC(t *testing.T) {
	bubble(t, fake.Options{Latency: fake.Latency{Create: time.Second, Attach: 2 * time.Second}, CallTime: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		r.cloud.Squat("vm1", 1, 2, 3)
		claim := r.acquire("a001", "web")
		r.wants(claim.ID, nic.ClaimReady, 20*time.Second)
		counts := r.cloud.Counts()
		if counts[fake.OpCreate].Calls != 1 || counts[fake.OpDetach].Calls+counts[fake.OpDelete].Calls != 0 {
			t.Errorf("more than one NIC was made, or one was given up: %+v", counts)
		}
		var tried []int
		for _, c := range r.cloud.Calls() {
			if c.Op != fake.OpAttach {
				continue
			}
			tried = append(tried, c.Index)
			if conflict := errors.Is(c.Err, provider.ErrBusy); c.ID != r.claim(claim.ID).NIC || conflict != (c.Index < 4) {
				t.Errorf("attach of %s at index %d: %v", c.ID, c.Index, c.Err)
			}
		}
		if fmt.Sprint(tried) != "[1 2 3 4]" {
			t.Errorf("indexes %v were tried", tried)
		}
		if got := r.claim(claim.ID); len(got.Setbacks) > 0 || len(got.Conditions) > 0 {
			t.Errorf("the claim is %+v", got)
		}

		// The next NIC does not run into them again.
		next := r.acquire("a002", "web")
		r.wants(next.ID, nic.ClaimReady, 20*time.Second)
		calls := r.cloud.Calls()
		for i := len(calls) - 1; ; i-- {
			if c := calls[i]; c.Op == fake.OpAttach {
				if c.Index != 5 || c.Err != nil || r.cloud.Counts()[fake.OpAttach].Calls != 5 {
					t.Errorf("the next was asked for at index %d, %v", c.Index, c.Err)
				}
				break
			}
		}
	})
}

// limited is a cloud with the buckets that clouds have.
func limited(secretive bool) fake.Options {
	five := provider.Rate{Burst: 20, PerSecond: 5}
	return fake.Options{
		NICsPerInstance: 250, CallTime: 100 * time.Millisecond, Secretive: secretive,
		Latency: fake.Latency{Create: time.Second, Attach: 2 * time.Second, Detach: 2 * time.Second, Delete: time.Second},
		Rates:   provider.Rates{Create: five, Attach: five, Detach: five, Delete: five},
	}
}

// burst asks for n NICs for each of the nodes at once, and returns the claims.
func (r *rig) burst(n int, nodes ...string) []nic.Claim {
	r.t.Helper()
	var claims []nic.Claim
	for i := range n {
		for k, node := range nodes {
			if _, err := r.alloc.Node(r.t.Context(), node); err != nil {
				if _, err := r.alloc.Hello(r.t.Context(), node, nic.Inventory{}); err != nil {
					r.t.Fatal(err)
				}
			}
			o := nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: sandbox(fmt.Sprintf("%02x%02x", k, i)), Interface: "eth0"}
			claim, err := r.alloc.Acquire(r.t.Context(), o, fmt.Sprintf("c%d", i), nic.Request{Interface: "eth0", Network: "lab"})
			if err != nil {
				r.t.Fatal(err)
			}
			claims = append(claims, claim)
		}
	}
	return claims
}

// throttled are the calls that the cloud turned away, and all of the verbs that
// it counts.
func (r *rig) throttled() (turnedAway, all int) {
	early := map[string]time.Time{} // by NIC and verb: not before that
	for _, c := range r.cloud.Calls() {
		switch c.Op {
		case fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete:
		default:
			continue
		}
		all++
		key := c.Op + string(c.ID)
		if c.At.Before(early[key]) {
			r.t.Errorf("%s of %s came %s before the cloud wanted it again", c.Op, c.ID, early[key].Sub(c.At))
		}
		if e, ok := errors.AsType[*provider.Error](c.Err); ok && errors.Is(e, provider.ErrThrottled) {
			turnedAway++
			early[key] = c.At.Add(e.RetryAfter)
		}
	}
	return turnedAway, all
}

// released gives all claims back, and wants nothing left of them.
func (r *rig) released(claims []nic.Claim, within time.Duration) {
	r.t.Helper()
	for _, c := range claims {
		r.giveBack(r.claim(c.ID))
	}
	for end := time.Now().Add(within); time.Now().Before(end); r.wait(5 * time.Second) {
		left := 0
		for _, c := range claims {
			now := r.claim(c.ID)
			if now.ID == "" {
				continue
			}
			left++
			node, err := r.alloc.Node(r.t.Context(), now.Owner.Node)
			if err != nil {
				r.t.Fatal(err)
			}
			err = r.alloc.Report(r.t.Context(), now.Owner.Node, nic.NodeReport{Session: node.Session, NICs: []nic.Observed{{
				NIC: now.NIC, Claim: now.ID, Epoch: now.Epoch, State: nic.ObservedClean,
			}}})
			if err != nil {
				r.t.Fatal(err)
			}
		}
		if left == 0 {
			break
		}
	}
	r.empty()
}

// F08: 60 NICs (in the long run 200) for 20 nodes at once, at a cloud that takes
// five calls per second. All get theirs in about the time that this takes, nearly no call is
// turned away, none comes earlier than the cloud wants it, and nothing is left.
func TestF08_ABurstKeepsWithinTheRates(t *testing.T) {
	for _, secretive := range []bool{false, true} {
		bubble(t, limited(secretive), func(t *testing.T, r *rig) {
			var nodes []string
			for i := range 20 {
				nodes = append(nodes, fmt.Sprintf("n%02d", i))
			}
			begin := time.Now()
			each := 3
			if long() {
				each = 10
			}
			claims := r.burst(each, nodes...)
			for _, c := range claims {
				got := r.wants(c.ID, nic.ClaimReady, 5*time.Minute)
				if len(got.Setbacks) > 0 {
					t.Errorf("made in vain: %+v", got.Setbacks)
				}
			}
			took := time.Since(begin)
			r.released(claims, 10*time.Minute)
			away, all := r.throttled()
			t.Logf("secretive %t: %d of %d calls were throttled; all had their NICs after %s", secretive, away, all, took)
			most, longest := all/100, time.Duration(each)*6*time.Second // of which 3.6 s per NIC of a node are the cloud's
			if secretive {
				most, longest = all/10, 3*longest
			}
			if away > most {
				t.Errorf("%d of %d calls were throttled", away, all)
			}
			if took > longest {
				t.Errorf("the last NIC came after %s", took)
			}
			if made := r.cloud.Counts()[fake.OpCreate].Effects; made != len(claims) {
				t.Errorf("%d NICs were made for %d claims", made, len(claims))
			}
		})
	}
}

// F08: the burst of one node is not the wait of another.
func TestF08_ABurstStarvesNoOtherNode(t *testing.T) {
	for _, secretive := range []bool{false, true} {
		bubble(t, limited(secretive), func(t *testing.T, r *rig) {
			greedy := r.burst(100, "greedy")
			r.wait(10 * time.Second)
			begin := time.Now()
			modest := r.burst(1, "modest")[0]
			r.wants(modest.ID, nic.ClaimReady, 10*time.Second)
			ready, waiting := 0, 0
			for _, c := range greedy {
				now := r.claim(c.ID)
				if now.Phase == nic.ClaimReady {
					ready++
				}
				for _, why := range now.Conditions {
					if why.Reason == nic.ReasonWaitingForTurn && strings.Contains(why.Message, "provider fake") {
						waiting++
						break
					}
				}
			}
			t.Logf("secretive %t: ready after %s, while %d of 100 were and %d waited for their turn", secretive, time.Since(begin), ready, waiting)
			if ready > 80 || waiting == 0 {
				t.Errorf("the greedy node was through: %d ready, %d wait by name", ready, waiting)
			}
			for _, c := range greedy {
				r.wants(c.ID, nic.ClaimReady, 5*time.Minute)
			}
		})
	}
}

// F08: one that has to wait for its turn for longer than a plugging may last is
// not given up.
func TestF08_WhoWaitsForItsTurnIsNotGivenUp(t *testing.T) {
	slow := limited(false)
	slow.Rates.Create = provider.Rate{Burst: 1, PerSecond: 0.05}
	bubble(t, slow, func(t *testing.T, r *rig) {
		claims := r.burst(20, "n1")
		for _, c := range claims {
			if got := r.wants(c.ID, nic.ClaimReady, 12*time.Minute); len(got.Setbacks) > 0 {
				t.Errorf("made in vain: %+v", got.Setbacks)
			}
		}
		if made := r.cloud.Counts()[fake.OpCreate].Effects; made != len(claims) {
			t.Errorf("%d NICs were made for %d claims", made, len(claims))
		}
		// Whose container goes meanwhile leaves nothing behind.
		late := r.burst(22, "n1")[20:]
		r.wait(time.Second)
		r.released(append(claims, late...), time.Hour)
	})
}

// Where deletes are counted, one that takes its time is looked at: a second delete has
// the last word, and there is none in between.
func TestASlowDeleteIsLookedAt(t *testing.T) {
	bubble(t, limited(false), func(t *testing.T, r *rig) {
		claims := r.burst(1, "n1")
		r.wants(claims[0].ID, nic.ClaimReady, time.Minute)
		r.released(claims, time.Minute)
		deletes := 0
		for _, c := range r.cloud.Calls() {
			if c.Op == fake.OpDelete {
				deletes++
			}
		}
		if deletes != 2 {
			t.Errorf("%d deletes; want the one that deletes it and the one that says that it is gone", deletes)
		}
	})
}
