package allocator_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// F08: what waits for slots on one node that is full holds up no other node,
// whether the provider tells its rates or they are learnt.
func TestF08_AFullNodeStarvesNoOther(t *testing.T) {
	for _, secretive := range []bool{false, true} {
		slow := limited(secretive)
		slow.NICsPerInstance, slow.Latency.Create = 4, time.Minute // for so long a slot is promised and not taken
		bubble(t, slow, func(t *testing.T, r *rig) {
			if secretive {
				r.cloud.Fail(fake.OpCreate, &provider.Error{Kind: provider.ErrThrottled})
			}
			greedy := r.burst(30, "greedy")
			r.wait(20 * time.Second)
			begin := time.Now()
			for _, c := range r.burst(2, "n1", "n2", "n3") {
				r.wants(c.ID, nic.ClaimReady, 70*time.Second-time.Since(begin)) // of which 62 s are the cloud's
			}
			ready, refused := 0, 0
			r.wait(time.Minute)
			for _, c := range greedy {
				switch now := r.claim(c.ID); now.Phase {
				case nic.ClaimReady:
					ready++
				case nic.ClaimRefused:
					refused++
				}
			}
			if ready != 4 || refused != 26 {
				t.Errorf("secretive %t: %d of the full node are ready and %d refused, want 4 and 26", secretive, ready, refused)
			}
		})
	}
}

// F09: a NIC whose turn has come has a deadline from then on, and one that
// waits for its turn says until when.
func TestF09_AfterItsTurnThePluggingHasADeadline(t *testing.T) {
	slow := limited(false)
	slow.Rates.Create = provider.Rate{Burst: 1, PerSecond: 1. / 360}
	bubble(t, slow, func(t *testing.T, r *rig) {
		first := r.burst(1, "n1")[0]
		r.wants(first.ID, nic.ClaimReady, 10*time.Second)
		second := r.burst(1, "n2")[0]
		r.wait(time.Minute)
		got := r.claim(second.ID)
		if c := got.Conditions; len(c) != 1 || c[0].Reason != nic.ReasonWaitingForTurn || time.Until(c[0].Deadline) < 50*time.Minute {
			t.Errorf("in the line it says %+v", c)
		}
		for range 1000 {
			r.cloud.Fail(fake.OpLimits, provider.ErrUnknown)
		}
		r.wait(6 * time.Minute) // its turn has come, after longer than a plugging may last
		if now := r.claim(second.ID); now.NIC != got.NIC || len(now.Conditions) == 0 {
			t.Errorf("soon after its turn it is %+v", now)
		}
		for _, c := range r.claim(second.ID).Conditions {
			if c.Reason == nic.ReasonWaitingForTurn {
				t.Errorf("its turn has come, and it says %+v", c)
			}
		}
		r.wait(5 * time.Minute)
		if now := r.claim(second.ID); now.NIC == got.NIC {
			t.Errorf("not given up: %+v", now)
		}
	})
}

// F09: nobody waits for its turn for good.
func TestF09_ATurnThatDoesNotComeIsGivenUp(t *testing.T) {
	slow := limited(false)
	slow.Rates.Create = provider.Rate{Burst: 1, PerSecond: 1. / 7200}
	bubble(t, slow, func(t *testing.T, r *rig) {
		r.wants(r.burst(1, "n1")[0].ID, nic.ClaimReady, 10*time.Second)
		second := r.burst(1, "n2")[0]
		r.wait(59 * time.Minute)
		if now := r.claim(second.ID); now.NIC != second.NIC {
			t.Errorf("given up too early: %+v", now)
		}
		r.wait(2 * time.Minute)
		if now := r.claim(second.ID); now.NIC == second.NIC {
			t.Errorf("not given up: %+v", now)
		}
	})
}

// F20: a NIC that was lost gets its turn to be attached again, however many
// others are to be attached.
func TestF20_WhatWasLostGetsItsTurn(t *testing.T) {
	slow := limited(false)
	slow.Rates.Attach = provider.Rate{Burst: 1, PerSecond: 1. / 3}
	bubble(t, slow, func(t *testing.T, r *rig) {
		c := newCareless(r)
		c.lose = 1
		lost := r.burst(1, "n1")[0]
		r.wait(2 * time.Second) // it has been attached, and lost
		r.burst(40, "n2")
		begin := time.Now()
		r.wants(lost.ID, nic.ClaimReady, 30*time.Second) // turns come every 3.2 s, and every second is another node's
		t.Logf("plugged in again after %s", time.Since(begin))
	})
}

// attaches are the calls to attach a NIC.
type attaches struct {
	*careless
	at []time.Time
}

func (a *attaches) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	a.at = append(a.at, time.Now())
	return a.careless.Attach(ctx, id, place)
}

// F09: to ask for an attach again does not put off the end of the plugging.
func TestF09_AskingAgainEndsWithThePlugging(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		a := &attaches{careless: newCareless(r)}
		a.lose = 1000
		r.via = a
		r.crash()
		begin := time.Now()
		claim := r.acquire("0001", "lab")
		r.wait(299 * time.Second)
		var asked []string
		for _, at := range a.at {
			asked = append(asked, fmt.Sprint(at.Sub(begin).Round(time.Second).Seconds()))
		}
		if got := strings.Join(asked, " "); got != "0 5 15 35 75 135 195 255" {
			t.Errorf("asked after %s seconds", got)
		}
		r.wait(4 * time.Second)
		if got := r.claim(claim.ID); len(got.Setbacks) != 1 {
			t.Errorf("3 s after the end it is %+v", got)
		}
	})
}
